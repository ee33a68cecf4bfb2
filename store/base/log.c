#include "store/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "store/base/clock.h"

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "info ", "warn ", "error" };
	char line[1024], when[CLOCK_TEXT_MAX];
	va_list ap;
	int n;
	ssize_t done;

	clock_format(clock_now_ns() / NS_PER_MS * NS_PER_MS, when);
	n = snprintf(line, sizeof(line), "%s %s ", when, names[level]);
	va_start(ap, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	line[n] = '\n';
	done = write(STDERR_FILENO, line, (size_t)n + 1); /* one write: lines of threads do not mix */
	(void)done;
}
