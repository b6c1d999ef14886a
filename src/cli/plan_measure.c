#include "cli/plan_measure.h"

#include "base/hands.h"
#include "cli/auto.h"
#include "cli/pictures.h"
#include "convert/weights.h"

#include <string.h>

static weft_status check_options(const weft_arguments *arguments, weft_error *error)
{
    static const char *const taken[] = {"measure", "gpus", "batch"};
    static const char *const files[] = {"measure"};
    if (arguments->operand_count != 1)
        FAIL(error, WEFT_INVALID, "--measure makes the cluster: only MODEL is to be given, not '%.60s'",
             arguments->operands[1]);
    for (const weft_option *option = arguments->verb->options; option->name; option++) {
        bool known = false;
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) known |= strcmp(option->name, taken[i]) == 0;
        if (!known && weft_arguments_has(arguments, option->name))
            FAIL(error, WEFT_INVALID, "--%s is about plans: measure first, then plan with the file", option->name);
    }
    return weft_cli_outputs_check(arguments, files, 1, error);
}

static int64_t count_workers(const weft_config *config)
{
    int64_t workers = config->parallel.pipeline * config->parallel.data * config->parallel.tensor;
    if (config->parallel.workers > 0) return config->parallel.workers;
    return workers > 1 ? workers : weft_cores();
}

static weft_status measure(const weft_arguments *arguments, const weft_config *config, weft_error *error)
{
    enum { MOST_WORKERS = 1024, MOST_BATCH = 1 << 20 };
    int64_t workers = 0, batch = 0;
    const char *path = weft_arguments_get(arguments, "measure");
    TRY(weft_arguments_int(arguments, "gpus", count_workers(config), 1, MOST_WORKERS, &workers, error));
    TRY(weft_arguments_int(arguments, "batch", weft_cli_auto_batch(config), 1, MOST_BATCH, &batch, error));
    weft_arena arena;
    weft_text text;
    weft_plan_cluster cluster;
    weft_arena_init(&arena);
    weft_text_init(&text);
    weft_status status = weft_cli_auto_measure(config, (int32_t)workers, batch, path, &arena, &cluster, error);
    if (status == WEFT_OK) {
        int32_t timed = 0;
        for (int32_t i = 0; i < cluster.measured_count; i++) timed += !cluster.measured[i].scaled;
        weft_text_add(&text, "%s: ", path);
        weft_text_add_count(&text, workers, "worker");
        weft_text_add(&text, ", %.4g Gflop/s each; %d of %d size%s measured%s\n", cluster.gpu.peak * 1e-9, timed,
                      cluster.measured_count, weft_text_plural(cluster.measured_count),
                      timed < cluster.measured_count ? ", the others by tokens from these" : "");
        status = weft_cli_print(&text, error);
    }
    weft_text_fini(&text);
    weft_arena_fini(&arena);
    return status;
}

weft_status weft_plan_measure(const weft_arguments *arguments, weft_error *error)
{
    weft_config config;
    TRY(check_options(arguments, error));
    TRY(weft_start_load(&config, arguments->operands[0], NULL, 0, error));
    weft_status status = measure(arguments, &config, error);
    weft_config_fini(&config);
    return status;
}
