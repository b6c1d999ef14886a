/* Which files of a folder are data, and what is said of those that are not. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static const char text[] = "the loom and the weft cross\n";

static uint64_t fingerprint(weft_data_options options)
{
    weft_data *data = test_open(options);
    uint64_t found = weft_data_fingerprint(data);
    weft_data_close(data);
    return found;
}

/* What editors, file managers, version control and broken downloads leave behind; a mistaken one is a token more. */
static const char *const spare[] = {
    ".hidden",   ".DS_Store",   "._a.txt", ".#a.txt",   "#a.txt#",    "a.txt~",       "a.txt.bak",
    "a.txt.BAK", "a.txt.orig",  ".a.swp",  "a.swp",     "a.txt.tmp",  "a.txt.old",    "a.txt.part",
    "Thumbs.db", "desktop.ini", "a.rej",   "a.partial", "a.download", "b.crdownload", ".gitignore",
};

static const char *const kept[] = {"a.txt", "b", "c~d.txt", "old", "tmp.txt", "x.bak.txt", "#number", "README.md"};

static void put_kept(const char *folder)
{
    char name[128];
    test_make_folder(folder);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, kept[i]);
        test_put_text(name, text);
    }
}

static void test_spare_files(void **state)
{
    (void)state;
    char name[128], words[128];
    int count = (int)(sizeof spare / sizeof *spare);
    put_kept("clean");
    put_kept("spare");
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "spare/%s", spare[i]);
        test_put_text(name, text);
    }
    test_make_folder("spare/.git/objects");
    test_put_text("spare/.git/config", text);
    test_make_folder("spare/lost+found");
    assert_int_equal(symlink("nowhere", test_path("spare/.#lock")), 0); /* as Emacs makes them: broken, and no fault */
    weft_data_options clean = test_options(test_path("clean"), 8, 0), full = test_options(test_path("spare"), 8, 0);
    assert_int_equal(fingerprint(full), fingerprint(clean));
    weft_data *data = test_open(full);
    snprintf(words, sizeof words, "%d files and 2 folders left out of the data as hidden, a backup or incomplete, such",
             count + 1);
    test_says(test_notes(data), words);
    weft_data_close(data);
    data = test_open(clean);
    assert_string_equal(test_notes(data), "");
    weft_data_close(data);
    weft_data_close(test_open(test_options(test_path("spare/.hidden"), 8, 0))); /* what is named is meant */
    weft_data_close(test_open(test_options(test_path("spare/.git"), 8, 0)));
}

static void test_nothing_left(void **state)
{
    (void)state;
    test_make_folder("nothing");
    test_put_text("nothing/a~", text);
    test_put_text("nothing/b~", text);
    test_refuse(test_options(test_path("nothing"), 8, 0),
                "nothing: no files in this folder (2 files left out of the data as hidden, a backup or incomplete, ");
}

static void test_links_and_devices(void **state)
{
    (void)state;
    put_kept("linked");
    test_make_folder("elsewhere");
    test_put_text("elsewhere/z.txt", text);
    assert_int_equal(symlink(test_path("elsewhere"), test_path("linked/folder")), 0);
    assert_int_equal(mkfifo(test_path("linked/pipe"), 0600), 0);
    weft_data *data = test_open(test_options(test_path("linked"), 8, 0));
    test_says(test_notes(data), "1 file and 1 folder left out of the data as a link to a folder or no regular file");
    weft_data_close(data);
    assert_int_equal(symlink(test_path("elsewhere/z.txt"), test_path("linked/z.txt")), 0); /* to files are followed */
    put_kept("with");
    test_put_text("with/z.txt", text);
    assert_int_equal(fingerprint(test_options(test_path("linked"), 8, 0)),
                     fingerprint(test_options(test_path("with"), 8, 0)));
    assert_int_equal(symlink("nowhere", test_path("linked/broken.txt")), 0);
    test_refuse(test_options(test_path("linked"), 8, 0), "broken.txt: cannot open: broken link");
}

/* As a run leaves it: one that was just begun, one with checkpoints, and a checkpoint that was moved alone. */
static void put_runs(const char *folder)
{
    static const char *const files[][2] = {
        {"run/new/metrics.jsonl", ""},
        {"run/old/metrics.jsonl", "{\"step\":1,\"loss\":5.5}\n"},
        {"run/old/timeline.csv", "a,b\n"},
        {"run/old/step-00000002/checkpoint.yaml", "format: weft-checkpoint\nversion: 1\n"},
        {"run/old/step-00000002/weights.safetensors", "\x40\0\0\0\0\0\0\0{}"},
        {"best/checkpoint.yaml", "format: weft-checkpoint\nversion: 1\n"},
    };
    static const char *const folders[] = {"run/new", "run/old/step-00000002", "run/old/step-00000003.tmp", "best"};
    char name[256];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, folders[i]);
        test_make_folder(name);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, files[i][0]);
        test_put_text(name, files[i][1]);
    }
}

static void test_runs(void **state)
{
    (void)state;
    put_kept("before");
    put_kept("runs");
    put_runs("runs");
    weft_data_options before = test_options(test_path("before"), 8, 0), runs = test_options(test_path("runs"), 8, 0);
    assert_int_equal(fingerprint(runs), fingerprint(before));
    weft_data *data = test_open(runs);
    test_says(test_notes(data), "3 folders left out of the data as of this run or another, such as ");
    weft_data_close(data);
    test_refuse(test_options(test_path("runs/run/old"), 8, 0), "run/old: holds a run or a checkpoint, not data");
    test_refuse(test_options(test_path("runs/best"), 8, 0), "best: holds a run or a checkpoint, not data");
    test_put_text("runs/metrics.jsonl", "{\"epoch\":1}\n"); /* of somebody else */
    assert_int_not_equal(fingerprint(runs), fingerprint(before));
}

/* What runs have said, in files of any name: an empty one is that of a run that begins. A text about training is none.
 */
static void test_logs(void **state)
{
    (void)state;
    static const char *const logs[] = {
        "training 842496 parameters on 2 workers, 9 blocks to learn, 1 held out\nstep 1/9\n",
        "resumed from run/x/step-00000002, step 2\ntraining 10 parameters on 1 worker, 9 blocks to learn",
        "nohup: ignoring input\n\ntraining 10 parameters on 1 worker\n",
        "{\"run\": \"r\", \"step\": 3, \"loss\": null, \"bits_per_byte\": 7.98, \"median_step_seconds\": 0.1}\n",
    };
    put_kept("quiet");
    put_kept("logs");
    weft_data_options options = test_options(test_path("logs"), 8, 0);
    uint64_t before = fingerprint(test_options(test_path("quiet"), 8, 0));
    test_put_text("logs/slurm-1.out", "");
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        assert_int_equal(fingerprint(options), before);
        test_put_text("logs/slurm-1.out", logs[i]);
        assert_int_equal(fingerprint(options), before);
        test_put_text("logs/slurm-2.out", logs[i]);
    }
    weft_data *data = test_open(options);
    test_says(test_notes(data), "2 files left out of the data as of this run or another, such as ");
    weft_data_close(data);
    weft_data_close(test_open(test_options(test_path("logs/slurm-1.out"), 8, 0))); /* what is named is meant */
    test_put_text("logs/about.txt", "training a model of 10 parameters on 1 worker\n");
    assert_int_not_equal(fingerprint(options), before);
}

/* The run's own folder and files, whatever path leads there, whether they are there yet or not. */
static void test_own_files(void **state)
{
    (void)state;
    put_kept("own");
    weft_data_options options = test_options(test_path("own"), 8, 0);
    uint64_t before = fingerprint(options);
    assert_int_equal(symlink("own", test_path("alias")), 0);
    char absolute[512], around[512], linked[512];
    snprintf(absolute, sizeof absolute, "%s", test_path("own/run"));
    snprintf(around, sizeof around, "%s", test_path("own/../own/./run/"));
    snprintf(linked, sizeof linked, "%s", test_path("alias/run"));
    const char *const names[] = {absolute, around, linked};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *own[] = {NULL, "", names[i], test_path("own/log.txt")};
        options.own = own;
        options.own_count = 4;
        assert_int_equal(fingerprint(options), before); /* not there yet */
        test_make_folder("own/run");
        test_put_text("own/run/anything", text);
        test_put_text("own/log.txt", text);
        assert_int_equal(fingerprint(options), before);
        weft_data *data = test_open(options);
        test_says(test_notes(data), "1 file and 1 folder left out of the data as of this run or another, such as ");
        weft_data_close(data);
        weft_data_options held_out = options;
        held_out.path = test_path("own/a.txt");
        held_out.held_out_path = test_path("own");
        uint64_t with = fingerprint(held_out);
        held_out.own_count = 0;
        assert_int_not_equal(with, fingerprint(held_out));
        held_out.own_count = 4;
        held_out.held_out_path = test_path("own/run");
        test_refuse(held_out, "run: is the folder of this run too: give the data a folder of their own");
        options.path = test_path("alias/run");
        test_refuse(options, "run: is the folder of this run too: give the data a folder of their own");
        options.path = test_path("own");
        assert_int_equal(unlink(test_path("own/run/anything")), 0);
        assert_int_equal(rmdir(test_path("own/run")), 0);
        assert_int_equal(unlink(test_path("own/log.txt")), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spare_files),       cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_links_and_devices), cmocka_unit_test(test_runs),
        cmocka_unit_test(test_own_files),         cmocka_unit_test(test_logs),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
