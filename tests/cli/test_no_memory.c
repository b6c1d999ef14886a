/* test_no_memory FILES: each allocation in turn fails under every verb, each time in a process of its own: it ends with
 * status 1 and a line that says so, or does without. */
#include "../base/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int weft_main(int count, char **words); /* main of src/cli/main.c, by the build */

enum { MOST_WORDS = 32, FAILED = 10 };

static char folder[] = "/tmp/weft-no-memory-XXXXXX";
static const char *files;

/* In the child: the exit status, and FAILED more when an allocation failed. */
static void play(const char *line, int n, bool all)
{
    char copy[512], *words[MOST_WORDS + 1] = {(char[]){"weft"}}, *rest = NULL;
    int count = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word && count < MOST_WORDS; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    if (!freopen("/dev/null", "w", stdout) || !freopen("complaint", "w", stderr)) exit(99);
    failing_begin(n, all);
    int status = weft_main(count, words);
    exit(status + (failing_end() ? FAILED : 0));
}

static int play_apart(const char *line, int n, bool all)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) play(line, n, all);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void complaint(char *out, size_t size)
{
    FILE *file = fopen("complaint", "r");
    out[file ? fread(out, 1, size - 1, file) : 0] = '\0';
    if (file) fclose(file);
}

static void check(const char *line)
{
    for (int n = 0, all = 0;; n += all, all = !all) {
        char words[4096];
        int status = play_apart(line, n, all);
        complaint(words, sizeof words);
        if (status == 0 && n > 2) return;
        if (status == FAILED) continue;
        if (status != FAILED + 1 || !strstr(words, "out of memory"))
            fail_msg("weft %s, allocation %d: status %d, %s", line, n + 1, status, words);
    }
}

static int set_up(void **state)
{
    (void)state;
    char command[600];
    if (!mkdtemp(folder)) return -1;
    snprintf(command, sizeof command, "cp -r '%s/.' '%s'", files, folder);
    if (system(command) != 0) return -1;
    return chdir(folder) != 0 || play_apart("train train.yaml run.folder=run", 1 << 30, false) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void test_every_verb(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "train train.yaml --dry-run parallel.pipeline=2 parallel.data=2 parallel.shard=weights",
        "train train.yaml --dry-run --json parallel.tensor=2",
        "train train.yaml run.folder=run run.steps=3 run.tensorboard=true --resume",
        "generate run --prompt ab --tokens 2 --json",
        "compare run run --json",
        "schedule breadth-first --pipeline 2 --microbatches 3 --loops 2 --format json",
        "schedule schedules/custom.csv --communication",
        "verify schedules/custom.csv",
        "verify breadth-first --pipeline 2 --microbatches 3 --data 2 --shard weights --json",
        "simulate 1f1b --pipeline 2 --microbatches 3 --costs costs/two.json --svg a.svg --html a.html --trace a.json "
        "--json",
        "rehearse zb-h1 --pipeline 2 --microbatches 2 --steps 1 --costs costs/two.json --unit us",
        "search --pipeline 2 --microbatches 2 --format csv",
        "timeline measured --svg a.svg --costs-out a.yaml",
        "timeline measured --json",
        "metrics curves/warp curves/weft curves/damaged.jsonl --svg a.svg --smooth 0.5",
        "metrics curves/warp --json --key bits_per_byte",
        "sweep train.yaml microbatch=1 --steps 1 --warmup 0 --csv a.csv --svg a.svg",
        "config train.yaml --json run.steps=4",
        "help simulate"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) check(lines[i]);
}

int main(int count, char **words)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_every_verb, set_up, tear_down)};
    if (count != 2) return 1;
    files = words[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
