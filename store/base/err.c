#include "store/base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name;
	const char *sentence;
} words[] = {
	[0] = { "ok", "no error" },
	[-ERR_NOMEM] = { "out_of_memory", "the process is out of memory; retry later" },
	[-ERR_MALFORMED] = { "malformed", "the bytes do not parse" },
	[-ERR_UNSUPPORTED] = { "unsupported", "this content type or encoding is not supported" },
	[-ERR_REFUSED] = { "refused", "the request was understood and refused" },
	[-ERR_UNAUTHENTICATED] = { "unauthenticated", "send a valid token as Authorization: Bearer TOKEN" },
	[-ERR_DENIED] = { "denied", "the token's role does not allow this" },
	[-ERR_NOT_FOUND] = { "not_found", "there is nothing of that name here" },
	[-ERR_CONFLICT] = { "conflict", "it exists already with other content" },
	[-ERR_TOO_LARGE] = { "too_large", "it is over a limit; split it" },
	[-ERR_BUSY] = { "busy", "the server is at its limit; retry after a moment" },
	[-ERR_DISK_FULL] = { "disk_full", "the data directory has no room; free some space and retry" },
	[-ERR_IO] = { "io", "the operating system reported an input or output error" },
	[-ERR_CORRUPT] = { "corrupt", "stored bytes are damaged; run astraml verify" },
	[-ERR_HELD] = { "held", "another process holds the data directory" },
	[-ERR_VERSION] = { "version", "the data was written by a newer version of astraml" },
	[-ERR_GONE] = { "gone", "the peer went away" },
	[-ERR_FULL] = { "full", "a buffer has reached its limit" },
	[-ERR_TIMEOUT] = { "timeout", "the deadline passed" },
	[-ERR_AHEAD] = { "sequence_ahead", "the sequence is too far ahead; send the earlier ones first" },
};

const char *err_name(int err)
{
	size_t i = (size_t)-err;
	return err <= 0 && i < sizeof(words) / sizeof(*words) ? words[i].name : "unknown";
}

int fault_set(struct fault *f, int err, const char *field, const char *format, ...)
{
	va_list ap;

	if (!f)
		return err;
	f->err = err;
	snprintf(f->field, sizeof(f->field), "%s", field ? field : "");
	va_start(ap, format);
	vsnprintf(f->text, sizeof(f->text), format, ap);
	va_end(ap);
	return err;
}

int fault_default(struct fault *f, int err)
{
	size_t i = (size_t)-err;

	if (f && err < 0 && f->err != err && i < sizeof(words) / sizeof(*words))
		fault_set(f, err, "", "%s", words[i].sentence);
	return err;
}
