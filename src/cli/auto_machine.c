/* This machine as a cluster: measured once, kept in a file. */
#include "cli/auto.h"

#include "base/file.h"
#include "base/hands.h"
#include "base/random.h"
#include "cli/launch.h"
#include "cli/pictures.h"
#include "plan/describe.h"
#include "train/measure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double seconds_to_measure = 20;

/* Names what a measurement depends on: model, length of sequences, device, element, threads, workers, batch, cores. */
static void make_title(const weft_config *config, int32_t workers, int64_t batch, size_t room, char *out)
{
    static const char *const keys[] = {"model.layers",       "model.width",      "model.heads",   "model.kv_heads",
                                       "model.feed_forward", "model.vocabulary", "model.context", "model.norm",
                                       "model.position",     "model.activation", "model.bias",    "model.tied",
                                       "batch.tokens",       "device",           "element",       "threads"};
    weft_text all;
    weft_text_init(&all);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        weft_config_value(config, keys[i], &all);
        weft_text_add(&all, ";");
    }
    weft_text_add(&all, "%d;%lld;%d", workers, (long long)batch, weft_cores());
    uint64_t number = weft_random_bits(weft_random_key_make(0, weft_text_get(&all)), 0);
    snprintf(out, room, "this machine, %d worker%s, batch %lld, %08lx", workers, weft_text_plural(workers),
             (long long)batch, (unsigned long)(number & 0xffffffff));
    weft_text_fini(&all);
}

static void show_progress(void *context, int32_t done, int32_t all)
{
    (void)context;
    fprintf(stderr, "\rmeasuring this machine: size %d of %d\033[K", done + 1, all);
}

/* Whole or not at all: written aside and renamed, so that nobody reads half of it. */
static weft_status write_machine(const weft_plan_cluster *cluster, const char *path, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_text_add(&text,
                  "# Measured on this machine by weft, for weft plan and parallel.auto (docs/plan.md). A GPU\n"
                  "# stands for one worker. Software and memory are those of the run that it was measured for.\n");
    weft_plan_cluster_write(cluster, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_file_write(path, weft_text_get(&text), text.length, error);
    weft_text_fini(&text);
    return status;
}

weft_status weft_cli_auto_measure(const weft_config *config, int32_t workers, int64_t batch, const char *path,
                                  weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    bool shows = isatty(STDERR_FILENO);
    weft_measuring measuring = {.config = config,
                                .workers = workers,
                                .batch = batch,
                                .seconds = seconds_to_measure,
                                .stop = weft_cli_catch_signals(),
                                .progress = shows ? show_progress : NULL};
    weft_status status = weft_measure(&measuring, arena, out, error);
    weft_cli_release_signals();
    if (shows) fprintf(stderr, "\r\033[K");
    if (status != WEFT_OK) return status;
    make_title(config, workers, batch, sizeof out->name, out->name);
    return write_machine(out, path, error);
}

static weft_status read_machine(const char *path, weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    weft_document document;
    TRY(weft_document_read(&document, path, error));
    weft_status status = weft_plan_cluster_read(&document, arena, out, error);
    weft_document_fini(&document);
    if (status == WEFT_OK && strcmp(out->software.name, "weft") != 0)
        FAIL(error, WEFT_INVALID, "%s: software: it is weft that trains, not %s", path, out->software.name);
    return status;
}

/* A file in the run folder is this program's own: one for something else is measured anew. */
static bool is_for(const weft_config *config, const weft_plan_cluster *cluster)
{
    char title[sizeof cluster->name];
    make_title(config, (int32_t)config->parallel.workers, weft_cli_auto_batch(config), sizeof title, title);
    return strcmp(title, cluster->name) == 0;
}

/* Known before it is measured, not after. */
static weft_status check_named(const weft_config *config, weft_error *error)
{
    if (weft_cli_output_check(config->parallel.cluster, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, "parallel.cluster", error);
}

weft_status weft_cli_auto_machine(const weft_config *config, bool measures, weft_arena *arena, weft_plan_cluster *out,
                                  bool *out_known, weft_text *path, weft_error *error)
{
    const char *named = config->parallel.cluster;
    *out_known = false;
    if (*named)
        weft_text_add(path, "%s", named);
    else
        weft_text_add(path, "%s/cluster.yaml", config->run.folder);
    TRY(weft_text_check(path, error));
    if (weft_path_exists(weft_text_get(path))) {
        TRY(read_machine(weft_text_get(path), arena, out, error));
        *out_known = *named || is_for(config, out);
    }
    if (*out_known || !measures) return WEFT_OK;
    if (weft_cli_launched())
        return weft_config_complain(config, "parallel.cluster", error,
                                    "processes of a launcher cannot measure this machine together: run weft plan %s "
                                    "--measure FILE first, and set it to that file",
                                    weft_config_name(config));
    TRY(*named ? check_named(config, error) : weft_folder_create(config->run.folder, error));
    TRY(weft_cli_auto_measure(config, (int32_t)config->parallel.workers, weft_cli_auto_batch(config),
                              weft_text_get(path), arena, out, error));
    *out_known = true;
    return WEFT_OK;
}
