/*
 * driver.c - runs a fuzz target without a fuzzer: its corpus, every truncation, seeded mutations.
 *
 * Linked to each tests/fuzz/fuzz_<name>.c by the ordinary build, so that `make test` runs them all
 * under each sanitizer; `make fuzz` links the same targets with libFuzzer instead.  Each input lies
 * in a heap block of exactly its size, so that a read past the end is seen.
 *
 *   fuzz_<name> DIRECTORY_OR_FILE...      without any: tests/fuzz/corpus/<name>
 *   ASTRAML_FUZZ_RUNS   mutations (20,000)     ASTRAML_FUZZ_SEED   (1)
 *
 * On a crash the input at fault is left in <program>.crash, and its name printed.  TAP on stdout.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRUNCATED_WHOLE 2048      /* inputs up to this size are cut at every length */
#define TRUNCATIONS     256       /* longer ones at this many */
#define INPUT_MAX       (1 << 20) /* of a mutated input, bytes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __asan_set_death_callback(void (*fn)(void)) __attribute__((weak));
void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

struct input {
	uint8_t *data;
	size_t size;
};

static struct input *corpus;
static size_t n_corpus;
static struct input current; /* what a crash would be due to */
static char crash_path[4096];
static uint64_t random_state;

static void die(const char *what, const char *which)
{
	printf("not ok 1 - %s: %s\n", what, which);
	exit(1);
}

static void *allocate(size_t size)
{
	void *p = malloc(size);
	if (!p)
		die("out of memory", "");
	return p;
}

/* splitmix64 */
static uint64_t random_u64(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static size_t random_below(size_t n) { return n ? random_u64() % n : 0; }

/* Async-signal-safe: called from a signal handler or a dying sanitizer. */
static void save_crash(void)
{
	static const char note[] = "# the input at fault is in ";
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	ssize_t n = write(fd, current.data, current.size);
	close(fd);
	n += write(2, note, sizeof(note) - 1);
	n += write(2, crash_path, strlen(crash_path));
	n += write(2, "\n", 1);
	(void)n;
}

static void on_signal(int sig)
{
	save_crash();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Nothing lies right behind the input, also behind an empty one. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *block = allocate(size ? size : 1);
	current.data = size ? block : block + 1;
	current.size = size;
	if (size)
		memcpy(current.data, data, size);
	LLVMFuzzerTestOneInput(current.data, size);
	free(block);
	current = (struct input){ 0 };
}

/* ---- the corpus ---- */

static void load_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot read", path);
	struct input in = { .data = allocate(st.st_size + 1), .size = st.st_size };
	size_t have = 0;
	while (have < in.size) {
		ssize_t n = read(fd, in.data + have, in.size - have);
		if (n <= 0)
			die("cannot read", path);
		have += n;
	}
	close(fd);
	corpus = realloc(corpus, (n_corpus + 1) * sizeof(*corpus));
	if (!corpus)
		die("out of memory", path);
	corpus[n_corpus++] = in;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* not of the locale: the same order everywhere */
}

static void load(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		die("no corpus", path);
	if (!S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	struct dirent **names;
	int n = scandir(path, &names, NULL, by_name);
	for (int i = 0; i < n; i++) {
		char file[4096];
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			load_file(file);
		free(names[i]);
	}
	free(names);
}

/* ---- mutations ---- */

static size_t put(uint8_t *d, size_t size, size_t at, const uint8_t *what, size_t n)
{
	if (size + n > INPUT_MAX)
		return size;
	memmove(d + at + n, d + at, size - at);
	memcpy(d + at, what, n);
	return size + n;
}

static size_t cut(uint8_t *d, size_t size, size_t at, size_t n)
{
	if (n > size - at)
		n = size - at;
	memmove(d + at, d + at + n, size - at - n);
	return size - n;
}

/* Numbers that a length, a count or a varint goes wrong at. */
static size_t put_number(uint8_t *d, size_t size, size_t at)
{
	static const uint64_t odd[] = { 0,          1,          0x7f,       0x80,
					0xff,       0x100,      0xffff,     0x10000,
					0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(0x7fffffffffffffff),
					UINT64_MAX, 65520,      1048576 };
	uint64_t v = odd[random_below(sizeof(odd) / sizeof(odd[0]))] + random_below(3) - 1;
	uint8_t b[10];
	size_t n = 0;
	if (random_below(2)) {
		for (; v > 0x7f; v >>= 7)
			b[n++] = (v & 0x7f) | 0x80;
		b[n++] = v;
		size = cut(d, size, at, random_below(3));
		return put(d, size, at, b, n);
	}
	n = (size_t)1 << random_below(4);
	memcpy(b, &v, 8);
	if (random_below(2))
		for (size_t i = 0; i < n; i++)
			b[i] = v >> 8 * (n - 1 - i);
	if (n > size - at)
		n = size - at;
	memcpy(d + at, b, n);
	return size;
}

static size_t mutate_once(uint8_t *d, size_t size)
{
	size_t at = random_below(size + 1);
	switch (random_below(8)) {
	case 0:
		if (at < size)
			d[at] ^= 1u << random_below(8);
		return size;
	case 1:
		if (at < size)
			d[at] = random_u64();
		return size;
	case 2:
		return cut(d, size, at, 1 + random_below(16));
	case 3: {
		uint64_t r = random_u64();
		return put(d, size, at, (uint8_t *)&r, 1 + random_below(8));
	}
	case 4: { /* a piece of another input */
		const struct input *other = &corpus[random_below(n_corpus)];
		size_t from = random_below(other->size);
		size_t n = random_below(other->size - from + 1);
		return put(d, size, at, other->data + from, n < 4096 ? n : 4096);
	}
	case 5: { /* a piece of itself, again */
		uint8_t piece[64];
		size_t n = random_below(sizeof(piece));
		if (at + n > size)
			n = size - at;
		memcpy(piece, d + at, n);
		return put(d, size, random_below(size + 1), piece, n);
	}
	case 6:
		return random_below(4) ? put_number(d, size, at) : random_below(size + 1);
	default:
		return put_number(d, size, at);
	}
}

static void mutate(uint8_t *room)
{
	const struct input *seed = &corpus[random_below(n_corpus)];
	size_t size = seed->size < INPUT_MAX ? seed->size : INPUT_MAX;
	memcpy(room, seed->data, size);
	for (size_t n = 1 + random_below(6); n; n--)
		size = mutate_once(room, size);
	run(room, size);
}

/* ---- running ---- */

static void run_truncations(void)
{
	for (size_t i = 0; i < n_corpus; i++) {
		const struct input *in = &corpus[i];
		size_t cuts = in->size <= TRUNCATED_WHOLE ? in->size : TRUNCATIONS;
		for (size_t k = 0; k < cuts; k++)
			run(in->data, cuts == in->size ? k : random_below(in->size));
	}
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);
	return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

static const char *target_name(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	return strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
}

static void watch(const char *program)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP };
	snprintf(crash_path, sizeof(crash_path), "%s.crash", program);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(save_crash);
		return;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_signal);
}

int main(int argc, char **argv)
{
	unsigned long runs = number_from("ASTRAML_FUZZ_RUNS", 20000);
	random_state = number_from("ASTRAML_FUZZ_SEED", 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	watch(argv[0]);
	for (int i = 1; i < argc; i++)
		load(argv[i]);
	if (argc == 1) {
		char dir[4096];
		snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%s", target_name(argv[0]));
		load(dir);
	}
	if (n_corpus == 0)
		die("the corpus is empty", target_name(argv[0]));
	printf("1..3\n");
	for (size_t i = 0; i < n_corpus; i++)
		run(corpus[i].data, corpus[i].size);
	printf("ok 1 - %s: %zu inputs\n", target_name(argv[0]), n_corpus);
	run_truncations();
	printf("ok 2 - %s: truncations\n", target_name(argv[0]));
	uint8_t *room = allocate(INPUT_MAX);
	for (unsigned long i = 0; i < runs; i++)
		mutate(room);
	printf("ok 3 - %s: %lu mutations\n", target_name(argv[0]), runs);
	free(room);
	for (size_t i = 0; i < n_corpus; i++)
		free(corpus[i].data);
	free(corpus);
	return 0;
}
