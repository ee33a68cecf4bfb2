#include "store/base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "store/base/clock.h"

#define BAR_WIDTH  24
#define NAME_WIDTH 28
#define MIB        1048576.0

void progress_start(struct progress *p, uint64_t bytes, unsigned walks)
{
	if (!p)
		return;
	*p = (struct progress){ .terminal = isatty(STDERR_FILENO),
				.walks = walks,
				.all = (walks ? walks : 1) * bytes };
	p->start_ns = clock_mono_ns();
	p->next_ns = p->start_ns + NS_PER_S / 4; /* a quick work shows none */
}

void progress_walk(struct progress *p, const char *what, const char *name)
{
	if (!p)
		return;
	p->what = what;
	p->name = name;
}

void progress_add(struct progress *p, uint64_t bytes)
{
	if (p)
		p->before += bytes;
}

static void draw(const struct progress *p, uint64_t done, int64_t now)
{
	double seconds = (double)(now - p->start_ns) / (double)NS_PER_S;
	double share = done < p->all ? (double)done / (double)p->all : 1;
	double left = share > 0 ? seconds / share - seconds : 0;
	char bar[BAR_WIDTH + 1];

	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < share * BAR_WIDTH ? '#' : '.';
	bar[BAR_WIDTH] = 0;
	fprintf(stderr, "\r[%s] %3.0f%%  ", bar, share * 100);
	if (p->walks)
		fprintf(stderr, "%.1f of %.1f MiB  %.1f MiB/s  ", (double)done / p->walks / MIB,
			(double)p->all / p->walks / MIB, (double)done / p->walks / seconds / MIB);
	fprintf(stderr, "%.0f s left  %s %.*s\033[K", left, p->what, NAME_WIDTH, p->name);
	fflush(stderr);
}

void progress_show(struct progress *p, uint64_t done)
{
	int64_t now;

	if (!p || !p->terminal || (now = clock_mono_ns()) < p->next_ns)
		return;
	p->next_ns = now + NS_PER_S / 10;
	draw(p, p->before + done, now);
	p->shown = true;
}

void progress_clear(struct progress *p)
{
	if (!p)
		return;
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
