/*
 * verb_stats.c - `astraml stats`: what a project has stored, and figures of the store.
 */
#include <stdio.h>

#include "query/cli/term.h"
#include "query/cli/verb.h"

static const char help[] =
    "usage: astraml stats [--columns] [--json]\n"
    "\n"
    "What the project has stored, by kind and tier: how long it is kept, bytes,\n"
    "records (windows of metrics, lines of log), bytes for each, and in how many\n"
    "parts or blocks.  Then figures of the whole store, which all projects share;\n"
    "metrics that are not sealed yet are told there.\n"
    "\n"
    "  --columns   what each column of sealed metrics takes, tier by tier, and how it\n"
    "              is kept; reads all\n"
    "\n"
    "example: astraml stats --data ./data\n";

static void print_number(struct json_object *o, const char *key, int width)
{
	char text[SHORT_TEXT_MAX];

	snprintf(text, sizeof text, "%llu", (unsigned long long)tree_u64(o, key));
	printf(" ");
	cell(stdout, text, -width);
}

static void print_row(struct json_object *row)
{
	char name[64], bytes[SHORT_TEXT_MAX], each[SHORT_TEXT_MAX] = "-";
	double v;

	snprintf(name, sizeof name, "%s %s", tree_text(row, "kind"), tree_text(row, "tier"));
	short_bytes(tree_u64(row, "bytes"), bytes);
	if (tree_number(tree_member(row, "bytes_per_record"), &v))
		snprintf(each, sizeof each, "%.2f", v);
	cell(stdout, name, 20);
	printf(" ");
	cell(stdout, *tree_text(row, "keep") ? tree_text(row, "keep") : "-", 9);
	printf(" ");
	cell(stdout, bytes, -11);
	print_number(row, "records", 13);
	printf(" ");
	cell(stdout, each, -10);
	print_number(row, "pieces", 8);
	printf("\n");
}

static void print_stat(const char *name, struct json_object *value)
{
	size_t n = strlen(name);
	char text[SHORT_TEXT_MAX];

	if (n > 6 && strcmp(name + n - 6, "_bytes") == 0)
		short_bytes(json_object_get_uint64(value), text);
	else
		snprintf(text, sizeof text, "%s", json_object_get_string(value));
	printf("%-24s %16s\n", name, text);
}

/* Columns of no bytes are left out. */
static void print_columns(const struct target *t, struct json_object *columns, struct json_object *rows)
{
	if (list_length(columns) == 0) {
		printf("\nno columns: no metrics are sealed yet\n");
		return;
	}
	printf("\n%s%-5s %-20s %-9s %12s %11s %10s%s\n", color_start(t->color, COLOR_BOLD), "TIER", "COLUMN",
	       "CODEC", "ITEMS", "BYTES", "OF 1000", color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < list_length(columns); i++) {
		struct json_object *c = tree_item(columns, i);
		uint64_t bytes = tree_u64(c, "bytes"), all = 0;
		char text[SHORT_TEXT_MAX];

		for (size_t k = 0; k < list_length(rows); k++)
			if (strcmp(tree_text(tree_item(rows, k), "kind"), "metrics") == 0 &&
			    strcmp(tree_text(tree_item(rows, k), "tier"), tree_text(c, "tier")) == 0)
				all = tree_u64(tree_item(rows, k), "bytes");
		if (bytes == 0 || all == 0)
			continue;
		cell(stdout, tree_text(c, "tier"), 5);
		printf(" ");
		cell(stdout, tree_text(c, "column"), 20);
		printf(" ");
		cell(stdout, tree_text(c, "codec"), 9);
		print_number(c, "items", 12);
		short_bytes(bytes, text);
		printf(" ");
		cell(stdout, text, -11);
		printf(" %10.1f\n", 1000 * (double)bytes / (double)all);
	}
}

static void print_usage(const struct target *t, struct json_object *usage)
{
	struct json_object *project = tree_member(usage, "project"), *rows = tree_list(usage, "stored"),
			   *store = tree_member(usage, "store");
	uint64_t deleted = tree_u64(project, "deleted_runs");

	printf("%s: %llu runs, %llu series", tree_text(project, "name"),
	       (unsigned long long)tree_u64(project, "runs"),
	       (unsigned long long)tree_u64(project, "series"));
	if (deleted)
		printf(", %llu deleted runs", (unsigned long long)deleted);
	printf("\n\n%s%-20s %-9s %11s %13s %10s %8s%s\n", color_start(t->color, COLOR_BOLD), "STORED", "KEPT",
	       "BYTES", "RECORDS", "BYTES EACH", "PIECES", color_end(t->color, COLOR_BOLD));
	for (size_t i = 0; i < list_length(rows); i++)
		print_row(tree_item(rows, i));
	if (tree_list(usage, "columns"))
		print_columns(t, tree_list(usage, "columns"), rows);
	printf("\n%s%s%s\n", color_start(t->color, COLOR_BOLD), "WHOLE STORE",
	       color_end(t->color, COLOR_BOLD));
	if (json_object_is_type(store, json_type_object)) {
		json_object_object_foreach(store, key, value) { print_stat(key, value); }
	}
}

int verb_stats(const struct target *t, int argc, char **argv)
{
	bool columns = false;
	const struct option_text options[] = { { "--columns", 0, NULL, &columns } };
	struct verb_args args = { .help = help, .options = options, .n_options = 1 };
	struct json_object *usage;
	struct source *s;
	struct fault f = { 0 };
	struct buf path;
	int status;

	if (!verb_parse(&args, argc, argv, &status))
		return status;
	if (source_open(t, &s, &f) < 0)
		return verb_fault(&f);
	path_init(&path, t);
	path_add(&path, "/usage");
	path_param(&path, "columns", columns ? "true" : NULL);
	if (t->json) {
		status = verb_print(s, buf_cstr(&path));
	} else if (!(usage = verb_tree(s, buf_cstr(&path), &f))) {
		status = verb_fault(&f);
	} else {
		print_usage(t, usage);
		json_object_put(usage);
		status = EXIT_OK;
	}
	buf_release(&path);
	source_close(s);
	return status;
}
