#include "store/base/array.h"

#include <stdlib.h>
#include <string.h>

#include "store/base/err.h"

#define FIRST_CAP 16

int array_double(void *array, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : FIRST_CAP;
	void *p;

	memcpy(&p, array, sizeof(p));
	p = reallocarray(p, more, size);
	if (!p)
		return ERR_NOMEM;
	memcpy(array, &p, sizeof(p));
	*cap = more;
	return 0;
}
