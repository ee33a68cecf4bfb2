/*
 * checksum.h - CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as in RFC 3720 appendix
 * B.4 and in the framing of TensorBoard event files.
 *
 * crc32c("123456789") == 0xe3069283.  With SSE 4.2 the processor's instruction is used, with
 * PCLMULQDQ three at a time, else tables; all give the same number.  Any thread.
 */
#ifndef STORE_BASE_CHECKSUM_H
#define STORE_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t len);

/* Goes on from crc, the checksum of the bytes before these. */
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t len);

#endif
