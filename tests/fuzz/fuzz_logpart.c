/*
 * The index of a log part, in a file whose checksums fit.  What the reader takes must be such as a writer
 * makes: runs and blocks rise, lie in the file one behind the other, and each can be asked for.
 *
 * An input is u8 blocks, u8 records, u16 bytes of these blocks, and the index.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/base/bytes.h"
#include "store/log/logpart.h"

#define ROOM 4096 /* of the blocks, at most */

static char path[64];

static void must(bool what)
{
	if (!what)
		abort();
}

static void remove_folder(void)
{
	*strrchr(path, '/') = 0;
	rmdir(path);
}

static void choose_path(void)
{
	if (path[0])
		return;
	strcpy(path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz-XXXXXX" : "/tmp/fuzz-XXXXXX");
	must(mkdtemp(path) != NULL);
	strcat(path, "/x.part");
	atexit(remove_folder);
}

static void write_file(uint32_t blocks, uint64_t records, size_t bytes, struct span index)
{
	static const uint8_t zero[ROOM];
	const struct partfile_id id = { PART_LOGS, 1, 0, 1, 1, 1 };
	struct partfile_summary made;
	struct partfile_writer w;

	must(partfile_create(path, &id, &w) == 0);
	must(partfile_add(&w, span_of(zero, bytes), records) == 0);
	w.so_far.blocks = blocks;
	must(partfile_finish(&w, index, &made) == 0);
}

static void check_part(const struct logpart *p)
{
	struct logpart_summary sum = logpart_summary(p);
	uint64_t at = PARTFILE_HEADER_BYTES, records = 0;
	struct span project, id;
	struct stored s;
	struct buf room;
	size_t from, to;

	buf_init(&room, LOGPART_BLOCK_MAX);
	for (size_t i = 0; i < sum.blocks; i++) {
		const struct logpart_block *b = logpart_block(p, i), *before = i ? b - 1 : NULL;

		must(b->offset == at && b->count > 0 && b->greatest_ns >= b->least_ns);
		must(!before || b->rid > before->rid ||
		     (b->rid == before->rid && b->first_seq >= before->first_seq + before->count));
		logpart_find(p, b->rid, &from, &to);
		must(from <= i && i < to);
		must(logpart_name(p, b->rid, &project, &id));
		must(logpart_open_block(p, i, &room, &s) == ERR_CORRUPT); /* zeros */
		at += b->bytes;
		records += b->count;
	}
	must(records == sum.records);
	buf_release(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logpart *p;
	int err;

	if (size < 4)
		return 0;
	choose_path();
	write_file(data[0], data[1], get_le16(data + 2) % ROOM, span_of(data + 4, size - 4));
	err = logpart_open(path, &p);
	must(err == 0 || err == ERR_CORRUPT);
	if (err == 0) {
		check_part(p);
		logpart_close(p);
	}
	unlink(path);
	return 0;
}
