/* parallel.auto: which keys the plan chooses, and what becomes of its answer. */
#include "cli/auto.h"

#include "base/hands.h"
#include "checkpoint/checkpoint.h"
#include "cli/plan_sizes.h"
#include "plan/answer.h"
#include "plan/describe.h"
#include "plan/moves.h"
#include "train/measure.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 200, ALL = 4000 }; /* layouts of each division of the workers that are replayed at least */

/* Closed forms of memory may be so far off: what they let pass is counted. Where nothing is left, all is counted. */
static const double lenience = 2, any_memory = 1e15;

#define MEMBER(member) offsetof(weft_config, member), sizeof((weft_config *)0)->member

/* What the plan chooses. Those before the last two are kept where the user has set them. */
static const struct {
    const char *key;
    size_t offset, size;
} choices[] = {{"parallel.pipeline", MEMBER(parallel.pipeline)},
               {"parallel.loops", MEMBER(parallel.loops)},
               {"parallel.schedule", MEMBER(parallel.schedule)},
               {"parallel.placement", MEMBER(parallel.placement)},
               {"parallel.dialect", MEMBER(parallel.dialect)},
               {"parallel.group", MEMBER(parallel.group)},
               {"parallel.data", MEMBER(parallel.data)},
               {"parallel.tensor", MEMBER(parallel.tensor)},
               {"parallel.shard", MEMBER(parallel.shard)},
               {"parallel.reduce", MEMBER(parallel.reduce)},
               {"parallel.buffers", MEMBER(parallel.buffers)},
               {"parallel.stages", MEMBER(parallel.stages)},
               {"recompute", MEMBER(recompute)},
               {"batch.sequences", MEMBER(batch.sequences)},
               {"batch.microbatches", MEMBER(batch.microbatches)}};

enum { CHOICES = sizeof choices / sizeof *choices };

/* What stands in the file is older than parallel.auto on the command line. Keys of the batch say how large it is; only
 * on the command line the size of a micro-batch is more than that. */
static bool is_kept(const weft_config *config, const char *key)
{
    weft_config_given given = weft_config_given_by(config, key);
    if (strcmp(key, "batch.microbatches") == 0) return false;
    if (strcmp(key, "batch.sequences") == 0) return given == WEFT_CONFIG_ON_COMMAND_LINE;
    return given != WEFT_CONFIG_NOT_GIVEN && given >= weft_config_given_by(config, "parallel.auto");
}

/* What stays of config, in a configuration that was made from it. */
static void keep(const weft_config *config, weft_config *trial)
{
    for (int i = 0; i < CHOICES; i++)
        if (is_kept(config, choices[i].key))
            memcpy((char *)trial + choices[i].offset, (const char *)config + choices[i].offset, choices[i].size);
    trial->memory_limit = config->memory_limit;
}

static weft_status apply(weft_config *config, const weft_config *chosen, weft_error *error)
{
    for (int i = 0; i < CHOICES; i++) {
        weft_text value;
        if (is_kept(config, choices[i].key)) continue;
        weft_text_init(&value);
        weft_config_value(chosen, choices[i].key, &value);
        weft_status status = weft_text_check(&value, error);
        if (status == WEFT_OK) status = weft_config_choose(config, choices[i].key, weft_text_get(&value), error);
        weft_text_fini(&value);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

typedef struct choosing {
    const weft_config *config;
    weft_cli_plan_run run;
    weft_plan_sizes sizes;
    weft_plan_model model;
    weft_plan_cluster cluster;
    weft_plan_fix fix;
    int32_t *layers; /* of fix */
    double room;     /* bytes of a worker */
    int32_t top;
    weft_config chosen; /* with stages; valid where step > 0 */
    int64_t *stages, *trial_stages;
    double step, least; /* of chosen; the least memory of what does not fit, 0: nothing was refused for it */
} choosing;

static weft_status take_kinds(const weft_config *config, uint32_t *out, weft_error *error)
{
    const char *name = config->parallel.schedule;
    for (int kind = 0; kind < WEFT_PLAN_KINDS; kind++)
        if (kind != WEFT_PLAN_NONE && strcmp(name, weft_plan_kind_name((weft_plan_kind)kind)) == 0)
            *out = 1u << kind | 1u << WEFT_PLAN_NONE;
    if (*out) return WEFT_OK;
    return weft_config_complain(config, "parallel.schedule", error,
                                "parallel.auto cannot plan for %s: leave it out, or set parallel.auto=false", name);
}

/* What the user has set as decisions of a question. */
static weft_status take_fix(const weft_config *config, weft_plan_fix *out, weft_error *error)
{
    *out = (weft_plan_fix){0};
    if (is_kept(config, "parallel.pipeline")) out->pipeline = (int32_t)config->parallel.pipeline;
    if (is_kept(config, "parallel.loops")) out->loops = (int32_t)config->parallel.loops;
    if (is_kept(config, "parallel.data")) out->data = (int32_t)config->parallel.data;
    if (is_kept(config, "parallel.tensor")) out->tensor = (int32_t)config->parallel.tensor;
    if (is_kept(config, "batch.sequences")) out->micro_batch = (int32_t)config->batch.sequences;
    if (is_kept(config, "parallel.shard")) out->shards = 1u << config->parallel.shard;
    if (is_kept(config, "recompute"))
        out->recomputes = config->recompute == WEFT_CONFIG_RECOMPUTE_FULL ? 1u << WEFT_PLAN_RECOMPUTE_FULL
                                                                          : 1u << WEFT_PLAN_RECOMPUTE_NONE;
    return is_kept(config, "parallel.schedule") ? take_kinds(config, &out->kinds, error) : WEFT_OK;
}

/* Layers that the user has divided, as a decision too. */
static weft_status take_stages(choosing *c, weft_error *error)
{
    const weft_config_list *list = &c->config->parallel.stages;
    int64_t all = 0;
    if (list->count == 0 || list->count > WEFT_CLI_AUTO_STAGES || !is_kept(c->config, "parallel.stages"))
        return WEFT_OK;
    TRY(weft_allocate((size_t)list->count, sizeof *c->layers, &c->layers, error));
    for (int64_t s = 0; s < list->count; s++) all += c->layers[s] = (int32_t)list->values[s];
    if (all != c->config->model.layers)
        return weft_config_complain(c->config, "parallel.stages", error,
                                    "the stages hold %lld layer%s; model.layers is %lld", (long long)all,
                                    weft_text_plural(all), (long long)c->config->model.layers);
    c->fix.layers = c->layers;
    c->fix.stages = (int32_t)list->count;
    return WEFT_OK;
}

static weft_status read_model(const weft_config *config, weft_plan_model *out, weft_error *error)
{
    weft_text dump;
    weft_document document;
    weft_text_init(&dump);
    weft_config_dump(config, false, &dump);
    weft_status status = weft_text_check(&dump, error);
    if (status == WEFT_OK)
        status = weft_document_parse(&document, weft_text_get(&dump), dump.length, weft_config_name(config), error);
    weft_text_fini(&dump);
    if (status != WEFT_OK) return status;
    status = weft_plan_model_read(&document, out, error);
    weft_document_fini(&document);
    return status;
}

/* The configuration of a row, as it would be trained; *out_does where it can be, within the memory. */
static weft_status try_row(choosing *c, const weft_plan_question *question, const weft_plan_row *row, weft_config *out,
                           bool *out_does, weft_error *error)
{
    const weft_plan_layout *layout = &row->layout;
    int32_t layers[WEFT_CLI_AUTO_STAGES], rank = 0;
    weft_job_memory memory;
    weft_error reason;
    weft_error_clear(&reason);
    *out_does = false;
    if (layout->pipeline * layout->loops > WEFT_CLI_AUTO_STAGES) return WEFT_OK;
    weft_plan_divide_evenly(&c->model, layout, layers);
    if (row->replayed.divided) TRY(weft_plan_divide(question, layout, layers, error));
    weft_cli_plan_configure(c->config, layout, layers, c->trial_stages, out);
    keep(c->config, out);
    if (out->parallel.pipeline * out->parallel.data * out->parallel.tensor != c->config->parallel.workers)
        return WEFT_OK;
    weft_status status = weft_config_check(out, &reason);
    if (status == WEFT_OK) status = weft_job_measure(out, c->run.known, &memory, &rank, &reason);
    if (status == WEFT_INVALID) return WEFT_OK;
    if (status != WEFT_OK) {
        *error = reason;
        return status;
    }
    *out_does = (double)memory.total <= c->room;
    if (!*out_does && (c->least == 0 || (double)memory.total < c->least)) c->least = (double)memory.total;
    return WEFT_OK;
}

/* Rows are by time: the first that can be trained is the best of them. */
static weft_status take_best(choosing *c, const weft_plan_question *question, const weft_plan_answer *answer,
                             weft_error *error)
{
    for (size_t i = 0; i < answer->count; i++) {
        const weft_plan_row *row = &answer->rows[i];
        weft_config trial;
        bool does = false;
        if (c->step > 0 && row->replayed.time.step >= c->step) return WEFT_OK;
        TRY(try_row(c, question, row, &trial, &does, error));
        if (!does) continue;
        int64_t *stages = c->trial_stages;
        c->trial_stages = c->stages;
        c->stages = stages;
        c->chosen = trial;
        c->step = row->replayed.time.step;
        return WEFT_OK;
    }
    return WEFT_OK;
}

static bool allows(int32_t fixed, int64_t value)
{
    return fixed == 0 || fixed == value;
}

/* One way to divide the workers: all of them are used. What contradicts the user, model or batch has no rows. */
static weft_status try_division(choosing *c, int32_t tensor, int32_t pipeline, weft_error *error)
{
    int64_t workers = c->config->parallel.workers, data = workers / tensor / pipeline;
    weft_plan_question question = {.model = &c->model,
                                   .cluster = &c->cluster,
                                   .gpus = workers,
                                   .batch = weft_cli_auto_batch(c->config),
                                   .fix = c->fix,
                                   .top = c->top,
                                   .sizes = &c->sizes,
                                   .room = c->room};
    weft_plan_how how = {.threads = weft_cores()};
    weft_plan_answer answer;
    weft_error reason;
    weft_error_clear(&reason);
    if (!allows(c->fix.tensor, tensor) || !allows(c->fix.pipeline, pipeline) || !allows(c->fix.data, data))
        return WEFT_OK;
    question.fix.tensor = tensor;
    question.fix.pipeline = pipeline;
    question.fix.data = (int32_t)data;
    if (c->fix.stages % pipeline == 0 && c->fix.loops == 0) question.fix.loops = c->fix.stages / pipeline;
    if (pipeline == 1) question.fix.kinds = question.fix.kinds ? 1u << WEFT_PLAN_NONE : 0;
    weft_status status = weft_plan_find(&question, &how, &answer, &reason);
    if (status == WEFT_INVALID) return WEFT_OK;
    if (status != WEFT_OK) {
        *error = reason;
        return status;
    }
    status = take_best(c, &question, &answer, error);
    weft_plan_answer_fini(&answer);
    return status;
}

static weft_status try_divisions(choosing *c, double memory, int32_t top, weft_error *error)
{
    int32_t workers = (int32_t)c->config->parallel.workers;
    c->cluster.gpu.memory = memory;
    c->top = top;
    for (int32_t tensor = 1; tensor <= workers; tensor++)
        for (int32_t pipeline = 1; workers % tensor == 0 && pipeline <= workers / tensor; pipeline++)
            if (workers / tensor % pipeline == 0) TRY(try_division(c, tensor, pipeline, error));
    return WEFT_OK;
}

static weft_status refuse(const choosing *c, weft_error *error)
{
    const weft_config *config = c->config;
    int64_t batch = weft_cli_auto_batch(config);
    if (c->least > 0)
        return weft_config_complain(
            config, "parallel.workers", error,
            "no layout of %lld worker%s fits: a worker has %.1f MiB (memory_limit, or its share of "
            "this machine), the least that any needs is %.1f MiB",
            (long long)config->parallel.workers, weft_text_plural(config->parallel.workers), c->room / 1048576,
            c->least / 1048576);
    return weft_config_complain(
        config, "parallel.workers", error,
        "no layout uses %lld worker%s: tensor must divide %lld head%s, the pipeline have no more "
        "stages than %lld layer%s, data divide a batch of %lld sequence%s, and all agree with "
        "what is set besides",
        (long long)config->parallel.workers, weft_text_plural(config->parallel.workers), (long long)config->model.heads,
        weft_text_plural(config->model.heads), (long long)config->model.layers, weft_text_plural(config->model.layers),
        (long long)batch, weft_text_plural(batch));
}

static weft_status choose(choosing *c, weft_error *error)
{
    TRY(weft_allocate(WEFT_CLI_AUTO_STAGES, sizeof *c->stages, &c->stages, error));
    TRY(weft_allocate(WEFT_CLI_AUTO_STAGES, sizeof *c->trial_stages, &c->trial_stages, error));
    TRY(take_fix(c->config, &c->fix, error));
    TRY(take_stages(c, error));
    TRY(read_model(c->config, &c->model, error));
    TRY(weft_known_create(&c->run.known, error));
    TRY(try_divisions(c, lenience * c->room, TOP, error));
    if (!(c->step > 0)) TRY(try_divisions(c, any_memory, ALL, error));
    return c->step > 0 ? WEFT_OK : refuse(c, error);
}

weft_status weft_cli_auto_plan(weft_config *config, const weft_plan_cluster *cluster, double *out_step,
                               weft_error *error)
{
    choosing c = {.config = config,
                  .run.config = *config,
                  .cluster = *cluster,
                  .room = weft_measure_room(config, (int32_t)config->parallel.workers)};
    c.sizes = (weft_plan_sizes){&c.run, weft_cli_plan_memory};
    c.cluster.nodes = 1;
    c.cluster.gpus_per_node = (int32_t)config->parallel.workers;
    c.cluster.reserved = 0;
    weft_status status = choose(&c, error);
    if (status == WEFT_OK) status = apply(config, &c.chosen, error);
    if (status == WEFT_OK) status = weft_config_check(config, error);
    *out_step = c.step;
    weft_known_destroy(c.run.known);
    weft_free(c.stages);
    weft_free(c.trial_stages);
    weft_free(c.layers);
    return status;
}

/* What is chosen, in a line. */
static void say(const weft_config *config, const char *from, weft_text *out)
{
    weft_text_add(
        out, "parallel.auto: data %lld, tensor %lld, pipeline %lld, loops %lld, %s, shard %s, recomputation %s, ",
        (long long)config->parallel.data, (long long)config->parallel.tensor, (long long)config->parallel.pipeline,
        (long long)config->parallel.loops, config->parallel.schedule, weft_shard_names()[config->parallel.shard],
        config->recompute == WEFT_CONFIG_RECOMPUTE_FULL ? "full" : "none");
    weft_text_add_count(out, config->batch.microbatches, "micro-batch");
    weft_text_add(out, " of ");
    weft_text_add_count(out, config->batch.sequences, "sequence");
    weft_text_add(out, ": %s\n", from);
}

/* The layout of the latest checkpoint, where it was chosen for as many workers and the same batch. */
static weft_status keep_checkpoint(weft_config *config, bool *out_kept, weft_text *said, weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    weft_config before;
    *out_kept = false;
    if (!weft_checkpoint_exists(config->run.folder)) return WEFT_OK;
    TRY(weft_checkpoint_open(config->run.folder, &checkpoint, error));
    weft_status status = weft_checkpoint_load_config(checkpoint, &before, error);
    if (status == WEFT_OK) {
        weft_config trial = before;
        keep(config, &trial);
        int64_t workers = trial.parallel.pipeline * trial.parallel.data * trial.parallel.tensor;
        *out_kept = workers == config->parallel.workers && weft_cli_auto_batch(&trial) == weft_cli_auto_batch(config);
        if (*out_kept) status = apply(config, &trial, error);
        weft_config_fini(&before);
    }
    weft_checkpoint_close(checkpoint);
    if (status == WEFT_OK && *out_kept) status = weft_config_check(config, error);
    if (status == WEFT_OK && *out_kept) say(config, "as the checkpoint has it", said);
    return status;
}

void weft_cli_auto_tell(const char *said)
{
    for (const char *at = said; *at;) {
        int length = (int)strcspn(at, "\n");
        fprintf(stderr, "note: %.*s\n", length, at);
        at += length + (at[length] == '\n');
    }
}

static void say_cores(const weft_config *config, weft_text *out)
{
    int cores = weft_cores();
    if (config->parallel.workers <= cores || config->transport != WEFT_CONFIG_LOCAL) return;
    weft_text_add(out, "parallel.workers: %lld workers share the %d core%s of this machine\n",
                  (long long)config->parallel.workers, cores, weft_text_plural(cores));
}

/* Both choose how many loops there are and where the head is: one by times, the other by flops. */
static weft_status check_placement(const weft_config *config, weft_error *error)
{
    if (strcmp(config->parallel.placement, "auto") != 0 || !is_kept(config, "parallel.placement")) return WEFT_OK;
    return weft_config_complain(config, "parallel.placement", error,
                                "auto chooses by flops what parallel.auto chooses by the times of this machine: leave "
                                "one of them out");
}

weft_status weft_cli_auto_choose(weft_config *config, const weft_cli_auto *how, weft_text *said, weft_error *error)
{
    bool known = false;
    double step = 0;
    char from[160];
    weft_arena arena;
    weft_text path;
    weft_plan_cluster cluster;
    if (!config->parallel.automatic) return weft_job_place(config, said, error);
    TRY(check_placement(config, error));
    say_cores(config, said);
    if (how->resumes) TRY(keep_checkpoint(config, &known, said, error));
    if (known) return WEFT_OK;
    weft_arena_init(&arena);
    weft_text_init(&path);
    weft_status status = weft_cli_auto_machine(config, how->measures, &arena, &cluster, &known, &path, error);
    if (status == WEFT_OK && known) status = weft_cli_auto_plan(config, &cluster, &step, error);
    snprintf(from, sizeof from, "%.4g s a step predicted from %.100s", step, weft_text_get(&path));
    if (status == WEFT_OK && known) say(config, from, said);
    if (status == WEFT_OK && !known)
        weft_text_add(said, "parallel.auto: this machine was not measured for this model and batch yet; weft train, or "
                            "weft plan --measure, does it, and until then the layout is as it is set\n");
    weft_text_fini(&path);
    weft_arena_fini(&arena);
    return status;
}
