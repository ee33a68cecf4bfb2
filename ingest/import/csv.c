#include "ingest/import/export_csv.h"

static int csv_read(const struct import_context *c, struct input *in, struct import_sink *k, struct fault *f)
{
	bool is_export;
	int err = export_csv_begins(in, &is_export, f);

	(void)c;
	if (err < 0 || is_export)
		return err < 0 ? err : export_csv_read(in, k, f);
	return fault_set(f, ERR_MALFORMED, "", "the file is no CSV that `astraml export` wrote");
}

static const char help[] =
    "The CSV of `astraml export --format csv`.\n\nexample: astraml import csv bert-1.csv\n";

const struct import_format csv_format = {
	.name = "csv",
	.version = "1",
	.summary = "the CSV of `export`",
	.help = help,
	.read = csv_read,
};
