#include "ingest/import/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"

#define BAR_WIDTH  24
#define NAME_WIDTH 28

void progress_start(struct progress *p, const char *what, const char *name)
{
	*p = (struct progress){ .terminal = isatty(STDERR_FILENO), .what = what, .name = name };
	p->start_ns = clock_mono_ns();
	p->next_ns = p->start_ns + NS_PER_S / 4; /* a quick file shows none */
}

void progress_show(struct progress *p, uint64_t done, uint64_t all)
{
	char bar[BAR_WIDTH + 1];
	double share = all ? (double)done / (double)all : 1, seconds, left;
	int64_t now;

	if (!p->terminal || (now = clock_mono_ns()) < p->next_ns)
		return;
	p->next_ns = now + NS_PER_S / 10;
	seconds = (double)(now - p->start_ns) / (double)NS_PER_S;
	left = share > 0 ? seconds / share - seconds : 0;
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < share * BAR_WIDTH ? '#' : '.';
	bar[BAR_WIDTH] = 0;
	fprintf(stderr, "\r%s %.*s [%s] %3.0f%%  %.1f MiB/s  %.0f s left\033[K", p->what, NAME_WIDTH, p->name,
		bar, share * 100, (double)done / seconds / 1048576, left);
	fflush(stderr);
	p->shown = true;
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
