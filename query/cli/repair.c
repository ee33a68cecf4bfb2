#include "query/cli/repair.h"

#include <stdio.h>

#include "query/cli/verb.h"
#include "store/admin.h"

static void line(const struct target *t, const char *kind, const char *sentence)
{
	struct json_object *o;

	if (!t->json) {
		printf("%s%s\n", strcmp(kind, "trouble") == 0 ? "damaged: " : "", sentence);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, kind, json_object_new_string(sentence));
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static void on_trouble(void *arg, const char *sentence) { line(arg, "trouble", sentence); }
static void on_repair(void *arg, const char *sentence) { line(arg, "repair", sentence); }

/* Number of troubles, or an exit status as a negative number. */
static int verify(const struct target *t, struct verify_counts *ret)
{
	const struct store_options o = { .read_only = true };
	struct fault f = { 0 };
	struct store *s;
	int n = store_open(t->data_dir, &o, &s, &f);

	if (n == 0) {
		n = store_verify(s, on_trouble, NULL, (void *)(uintptr_t)t, ret);
		store_close(s);
	}
	if (n < 0) {
		fault_default(&f, n);
		return -verb_fault(&f);
	}
	return n;
}

static int mend(const struct target *t, struct repair_report *ret)
{
	const struct store_options o = { .no_compactor = true };
	struct fault f = { 0 };
	struct store *s;
	int err = store_open(t->data_dir, &o, &s, &f);

	if (err == 0) {
		err = store_repair(s, on_repair, (void *)(uintptr_t)t, ret);
		store_close(s);
	}
	fault_default(&f, err);
	return err < 0 ? verb_fault(&f) : EXIT_OK;
}

/* Before anything is read: to say at the end that it may not be mended would waste hours. */
static bool is_held(const struct target *t)
{
	char url[256] = "";
	long pid = 0;

	if (store_holder(t->data_dir, &pid, url, sizeof(url)) < 0)
		return false;
	fprintf(stderr,
		"astraml: %s is held by process %ld%s%s; stop it first: nothing is repaired beside it\n",
		t->data_dir, pid, url[0] ? ", which serves " : "", url);
	return true;
}

static void report(const struct target *t, const struct repair_report *r, int left)
{
	if (t->json)
		printf("{\"end\":{\"rebuilt\":%llu,\"set_aside\":%llu,\"swept\":%llu,\"troubles\":%d}}\n",
		       (unsigned long long)r->rebuilt, (unsigned long long)r->set_aside,
		       (unsigned long long)r->swept, left);
	else
		printf(
		    "%llu parts made again, %llu set aside, %llu left-over files removed; %d troubles left\n",
		    (unsigned long long)r->rebuilt, (unsigned long long)r->set_aside,
		    (unsigned long long)r->swept, left);
}

int repair_directory(const struct target *t)
{
	struct repair_report mended = { 0 };
	struct verify_counts counts = { 0 };
	int n, status;

	if (is_held(t))
		return EXIT_TROUBLE;
	n = verify(t, &counts);
	if (n < 0)
		return -n;
	if (counts.bad_pages) {
		fprintf(
		    stderr,
		    "astraml: the structure of hot/data.mdb is damaged: that cannot be repaired, and nothing "
		    "was changed; restore a backup\n");
		return EXIT_TROUBLE;
	}
	status = mend(t, &mended);
	if (status != EXIT_OK)
		return status;
	n = verify(t, &counts);
	if (n < 0)
		return -n;
	report(t, &mended, n);
	if (n == 0)
		return EXIT_OK;
	fprintf(stderr,
		"astraml: %d troubles cannot be repaired; restore a backup to have back what is damaged\n",
		n);
	return EXIT_TROUBLE;
}
