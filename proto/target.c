#include "proto/target.h"

#include "store/base/err.h"

int exit_status_of(int err)
{
	switch (err) {
	case 0:
		return EXIT_OK;
	case ERR_MALFORMED:
	case ERR_UNSUPPORTED:
	case ERR_REFUSED:
	case ERR_CONFLICT:
	case ERR_TOO_LARGE:
		return EXIT_USAGE;
	case ERR_NOT_FOUND:
		return EXIT_NOT_FOUND;
	case ERR_UNAUTHENTICATED:
	case ERR_DENIED:
		return EXIT_NOT_ALLOWED;
	default:
		return EXIT_TROUBLE;
	}
}
