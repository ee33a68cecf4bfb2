#include "store/care/rowname.h"

#include <stdio.h>

#include "store/compact/compactor.h"
#include "store/log/logparts.h"
#include "store/raw/rawrow.h"
#include "store/registry/project.h"

#define KEY_BYTES_SHOWN 64

static int keep_project(void *arg, const struct project *p)
{
	struct project *wanted = arg;

	if (p->pid == wanted->pid)
		*wanted = *p;
	return 0;
}

/* Its name is for people alone, and empty where it cannot be read. */
static struct project project_of(struct kv_txn *t, uint32_t pid)
{
	struct project p = { .pid = pid };

	(void)projects_read(t, keep_project, &p);
	return p;
}

void part_name(struct kv_txn *t, const struct part_id *id, char *ret)
{
	struct project p = project_of(t, id->pid);

	slot_text(&p, id, ret);
}

static void key_name(enum kv_db db, struct span key, char *ret)
{
	size_t at = (size_t)snprintf(ret, ROW_NAME_MAX, "%s ", kv_db_name(db));

	for (size_t i = 0; i < key.len && i < KEY_BYTES_SHOWN; i++)
		at += (size_t)snprintf(ret + at, ROW_NAME_MAX - at, "%02x", key.data[i]);
}

void row_name(struct kv_txn *t, enum kv_db db, struct span key, struct span value, char *ret)
{
	char file[MANIFEST_FILE_MAX], slot[ROW_NAME_MAX];
	struct part_row part;
	struct logpart_row logs;
	struct raw_row raw;

	if (db == KV_PART && manifest_row_decode(key, value, &part) == 0) {
		manifest_file(&part.id, file);
		part_name(t, &part.id, slot);
		snprintf(ret, ROW_NAME_MAX, "part %s (%.*s)", file, SLOT_TEXT_MAX, slot);
	} else if (db == KV_RAW && raw_row_decode(key, value, &raw) == 0) {
		raw_file(&raw.id, file);
		snprintf(ret, ROW_NAME_MAX, "raw part %s (project %s)", file, project_of(t, raw.id.pid).name);
	} else if (db == KV_LOGPART && logpart_row_decode(key, value, &logs) == 0) {
		logpart_file(&logs.id, file);
		snprintf(ret, ROW_NAME_MAX, "log part %s (project %s)", file,
			 project_of(t, logs.id.pid).name);
	} else {
		key_name(db, key, ret);
	}
}
