#include "store/model.h"

#include <strings.h>

static const char *const state_names[] = {
	[RUN_QUEUED] = "queued",     [RUN_RUNNING] = "running", [RUN_PREEMPTED] = "preempted",
	[RUN_FINISHED] = "finished", [RUN_FAILED] = "failed",   [RUN_KILLED] = "killed",
	[RUN_LOST] = "lost",
};

static const char *const level_names[LEVELS] = {
	[LEVEL_NONE] = "",     [LEVEL_TRACE] = "trace", [LEVEL_DEBUG] = "debug", [LEVEL_INFO] = "info",
	[LEVEL_WARN] = "warn", [LEVEL_ERROR] = "error", [LEVEL_FATAL] = "fatal",
};

const char *run_state_name(enum run_state s)
{
	return s >= RUN_QUEUED && s <= RUN_LOST ? state_names[s] : "unknown";
}

enum run_state run_state_parse(struct span s)
{
	for (int i = RUN_QUEUED; i <= RUN_LOST; i++)
		if (span_is(s, state_names[i]))
			return (enum run_state)i;
	return 0;
}

const char *level_name(enum level l) { return (unsigned)l < LEVELS ? level_names[l] : ""; }

static bool same_word(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

int level_parse(struct span s)
{
	for (int i = LEVEL_TRACE; i < LEVELS; i++)
		if (same_word(s, level_names[i]))
			return i;
	if (same_word(s, "warning"))
		return LEVEL_WARN;
	return same_word(s, "critical") ? LEVEL_FATAL : -1;
}

void run_release(struct run *r)
{
	buf_release(&r->spec_json);
	buf_release(&r->sources_json);
}
