/* Models and clusters from texts: what each key means, and what is said of bad ones. */
#include "plan/describe.h"

#include "program/program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weft_status read_model(const char *text, weft_plan_model *out, weft_error *error)
{
    weft_document document;
    weft_error_clear(error);
    TRY(weft_document_parse(&document, text, strlen(text), "folder/model", error));
    weft_status status = weft_plan_model_read(&document, out, error);
    weft_document_fini(&document);
    return status;
}

static weft_status read_cluster(const char *text, weft_arena *arena, weft_plan_cluster *out, weft_error *error)
{
    weft_document document;
    weft_error_clear(error);
    TRY(weft_document_parse(&document, text, strlen(text), "folder/cluster", error));
    weft_status status = weft_plan_cluster_read(&document, arena, out, error);
    weft_document_fini(&document);
    return status;
}

static void test_models(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        weft_plan_model model; /* name, then sizes */
    } rows[] = {
        {"{layers: 2, hidden: 8, heads: 2, vocabulary: 5, sequence: 3}",
         {"model", 2, 8, 32, 2, 2, 4, 5, 3, false, true, false, WEFT_PLAN_ATTENTION_FLASH, 0}},
        {"{name: n, layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_size: 16, ffn: 9, vocabulary: 5, sequence: 3, "
         "gated: true, tied: false, dropout: true, attention: unfused, critical_batch: 7.5}",
         {"n", 2, 8, 9, 4, 2, 16, 5, 3, true, false, true, WEFT_PLAN_ATTENTION_UNFUSED, 7.5}},
        {"{\"model_type\": \"gpt2\", \"n_layer\": 12, \"n_embd\": 768, \"n_head\": 12, \"vocab_size\": 50257, "
         "\"n_positions\": 1024, \"n_inner\": null, \"activation_function\": \"gelu_new\"}",
         {"model", 12, 768, 3072, 12, 12, 64, 50257, 1024, false, true, false, WEFT_PLAN_ATTENTION_FLASH, 0}},
        {"{\"model_type\": \"qwen3\", \"hidden_act\": \"silu\", \"num_hidden_layers\": 3, \"hidden_size\": 64, "
         "\"intermediate_size\": 96, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 32, "
         "\"vocab_size\": 9, \"max_position_embeddings\": 77, \"_name_or_path\": \"q\", \"num_experts\": null}",
         {"q", 3, 64, 96, 4, 2, 32, 9, 77, true, false, false, WEFT_PLAN_ATTENTION_FLASH, 0}},
        {"model: {layers: 6}\nbatch: {tokens: 64}\ndata: {path: x}\n", /* a configuration, with its defaults */
         {"model", 6, 128, 512, 4, 4, 32, 256, 64, false, true, false, WEFT_PLAN_ATTENTION_FLASH, 0}},
        {"model: {architecture: llama, width: 192, heads: 4}\n",
         {"model", 4, 192, 512, 4, 4, 48, 256, 128, true, false, false, WEFT_PLAN_ATTENTION_FLASH, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const weft_plan_model *want = &rows[i].model;
        weft_plan_model got;
        weft_error error;
        if (read_model(rows[i].text, &got, &error) != WEFT_OK) fail_msg("row %zu: %s", i, error.text);
        assert_string_equal(got.name, want->name);
        const int64_t pairs[][2] = {{got.layers, want->layers},
                                    {got.hidden, want->hidden},
                                    {got.ffn, want->ffn},
                                    {got.heads, want->heads},
                                    {got.kv_heads, want->kv_heads},
                                    {got.head_size, want->head_size},
                                    {got.sequence, want->sequence},
                                    {got.vocabulary, want->vocabulary},
                                    {got.gated, want->gated},
                                    {got.tied, want->tied},
                                    {got.dropout, want->dropout},
                                    {got.attention, want->attention},
                                    {got.critical_batch == want->critical_batch, true}};
        for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++)
            if (pairs[k][0] != pairs[k][1])
                fail_msg("row %zu, member %zu: %lld, not %lld", i, k, (long long)pairs[k][0], (long long)pairs[k][1]);
    }
}

static void test_bad_models(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"3", "folder/model:1:1: a map of keys is expected here"},
        {"hidden: 8", "folder/model:1:1: layers is missing"},
        {"layers: 0\nhidden: 8", "folder/model:1:9: layers: 0 is not between 1 and 65536"},
        {"layers: -1", "folder/model:1:9: layers: a whole number from 0 up is expected here"},
        {"layers: 1.5", "folder/model:1:9: layers: a whole number from 0 up is expected here"},
        {"layers: many", "folder/model:1:9: layers: a number is expected here"},
        {"layers: nan", "folder/model:1:9: layers: a number is expected here"},
        {"layers: [1]", "folder/model:1:9: layers: a number is expected here"},
        {"hiden: 8", "folder/model:1:8: unknown key 'hiden' (nearest: 'hidden')"},
        {"attention: flesh", "folder/model:1:12: attention: flash or unfused, not 'flesh'"},
        {"gated: 1", "folder/model:1:8: gated: true or false is expected here"},
        {"layers: 1\nn_embd: 9\nn_head: 2",
         "folder/model:3:9: n_head, which is heads: 2 must divide hidden, which is 9, "
         "or head_size be given"},
        {"{\"layers\": 1, \"n_routed_experts\": 64}",
         "folder/model:1:35: n_routed_experts: mixtures of experts cannot be "
         "planned; weft trains dense models"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_plan_model model;
        weft_error error;
        assert_int_equal(read_model(rows[i].text, &model, &error), WEFT_INVALID);
        assert_string_equal(error.text, rows[i].says);
    }
}

static void test_cluster(void **state)
{
    (void)state;
    static const char text[] =
        "gpu: {kind: H100-SXM-80GB, memory_gb: 94, fill: 2}\nnodes: 3\ngpus_per_node: 4\n"
        "link_in_node: {gb_per_s: 400, rings: [[2, 10, 100], [4, 20, 200]]}\n"
        "link_between: {gb_per_s_per_node: 50, efficiency: 0.5, start_us: 7, message_us: 9}\n"
        "price_per_gpu_hour: 2.5\nmemory_reserved_gb: 2\nlayer_times: [[64, 2, 1, 3, 6]]\n"
        "software: {name: megatron-2022, messages: overlapped, reduce: after, schedules: [1f1b, zb-h1], shards: [none, "
        "optimizer], recompute: [full], step_ms: 5, send_shards: false}\n";
    weft_arena arena;
    weft_plan_cluster c;
    weft_error error;
    weft_arena_init(&arena);
    if (read_cluster(text, &arena, &c, &error) != WEFT_OK) fail_msg("%s", error.text);
    assert_string_equal(c.name, "cluster");
    assert_int_equal(c.nodes * 100 + c.gpus_per_node, 304);
    const double pairs[][2] = {{c.gpu.memory, 94e9},
                               {c.gpu.peak, 989e12},
                               {c.gpu.fill, 2},
                               {c.gpu.link, 400e9},
                               {c.gpu.rings[0].start, 10e-6},
                               {c.gpu.rings[1].bus, 200e9},
                               {c.nic, 50e9},
                               {c.nic_efficiency, 0.5},
                               {c.collective_start, 7e-6},
                               {c.message_start, 9e-6},
                               {c.price, 2.5},
                               {c.reserved, 2e9},
                               {c.software.step, 5e-3},
                               {c.software.stall, 1e-3},
                               {c.measured[0].forward, 3e-3},
                               {c.measured[0].backward, 6e-3}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (fabs(pairs[i][0] - pairs[i][1]) > 1e-9 * pairs[i][1]) fail_msg("number %zu: %g", i, pairs[i][0]);
    assert_int_equal(c.measured_count, 1);
    assert_int_equal(c.software.kinds, 1u << WEFT_PLAN_1F1B | 1u << WEFT_PLAN_ZB_H1);
    assert_int_equal(c.software.shards, 1u << WEFT_SHARD_NONE | 1u << WEFT_SHARD_OPTIMIZER);
    assert_int_equal(c.software.recomputes, 1u << WEFT_PLAN_RECOMPUTE_FULL);
    assert_true(c.software.messages_overlap && !c.software.reduces_overlap && !c.software.shards_messages);
    weft_arena_fini(&arena);
}

/* What is written is read back: the same numbers, and written again the same text. */
static void test_written(void **state)
{
    (void)state;
    static const char text[] =
        "gpu: {memory_gb: 12, peak_tflops: 0.05, memory_gb_per_s: 17, fill: 0}\nnodes: 2\ngpus_per_node: 3\n"
        "link_in_node: {gb_per_s: 4, message_us: 6, message_gather_gb_per_s: 3, rings: [[2, 1.25, "
        "8]]}\nprice_per_gpu_hour: 0.5\n"
        "link_between: {gb_per_s_per_node: 5, efficiency: 0.25, start_us: 3, message_us: 2}\n"
        "layer_times: [[64, 1, 1, 3, 6], [64, 2, 1, 3, 6, 0.5, 0.25, 7, 8], [64, 4, 1, 3, 6, 1, 1, 1, 1, 0.75]]\nname: "
        "\"a: b\"\n"
        "software: {name: weft, messages: blocking, stall_us: 4, schedules: [1f1b], recompute: [full], "
        "gathered_bytes: 4, gather_times: 0.75, selective_share: 0.25}\n";
    weft_arena arena;
    weft_plan_cluster first, second;
    weft_error error;
    weft_text once, twice;
    weft_arena_init(&arena);
    weft_text_init(&once);
    weft_text_init(&twice);
    if (read_cluster(text, &arena, &first, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_plan_cluster_write(&first, &once);
    if (read_cluster(weft_text_get(&once), &arena, &second, &error) != WEFT_OK) fail_msg("%s", error.text);
    weft_plan_cluster_write(&second, &twice);
    assert_string_equal(weft_text_get(&once), weft_text_get(&twice));
    assert_string_equal(second.name, "a: b");
    assert_int_equal(second.software.kinds, 1u << WEFT_PLAN_1F1B);
    assert_int_equal(second.nodes * 10 + second.gpus_per_node, 23);
    assert_int_equal(second.measured_count, 3);
    assert_true(!second.software.messages_overlap && second.measured[0].head_forward == 0);
    const double pairs[][2] = {{second.gpu.memory, 12e9},
                               {second.gpu.peak, 5e10},
                               {second.gpu.fill, 0},
                               {second.gpu.rings[0].bus, 8e9},
                               {second.message_gather, 3e9},
                               {second.message_start, 2e-6},
                               {second.software.stall, 4e-6},
                               {second.price, 0.5},
                               {second.measured[1].head_backward, 8e-3},
                               {second.measured[1].sum, 0},
                               {second.measured[2].sum, 0.75e-3},
                               {second.near_message_start, 6e-6},
                               {second.software.gathered_bytes, 4},
                               {second.software.gather_times, 0.75},
                               {second.software.selective, 0.25},
                               {second.reserved, first.reserved}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (fabs(pairs[i][0] - pairs[i][1]) > 1e-9 * pairs[i][1]) fail_msg("number %zu: %g", i, pairs[i][0]);
    weft_text_fini(&once);
    weft_text_fini(&twice);
    weft_arena_fini(&arena);
}

/* The adapters of a node are those of its GPUs, unless the file has them. */
static void test_adapters_go_with_the_gpus(void **state)
{
    (void)state;
    static const char *const texts[] = {"gpu: H100-SXM-80GB", "gpu: H100-SXM-80GB\ngpus_per_node: 4",
                                        "gpu: V100-SXM2-32GB\ngpus_per_node: 16",
                                        "gpu: H100-SXM-80GB\nlink_between: {gb_per_s_per_node: 25}"};
    static const double rates[] = {400e9, 200e9, 100e9, 25e9};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weft_arena arena;
        weft_plan_cluster c;
        weft_error error;
        weft_arena_init(&arena);
        if (read_cluster(texts[i], &arena, &c, &error) != WEFT_OK) fail_msg("%s", error.text);
        assert_true(fabs(c.nic / rates[i] - 1) < 1e-9);
        weft_arena_fini(&arena);
    }
}

static const struct {
    const char *text, *says;
} bad_clusters[] = {
    {"nodes: 1", "1:1: gpu: which kind of GPU is missing"},
    {"gpu: A100-SXM-81GB", "1:6: gpu: no 'A100-SXM-81GB' is known (nearest: 'A100-SXM-80GB')"},
    {"gpu: {memory_gb: 1}", "1:6: gpu: peak_tflops is missing, or a kind"},
    {"gpu: A100-SXM-80GB\nnodse: 1", "2:8: unknown key 'nodse' (nearest: 'nodes')"},
    {"gpu: A100-SXM-80GB\nnodes: 0", "2:8: nodes: 0 is not between 1 and 1048576"},
    {"gpu: A100-SXM-80GB\nlink_in_node: {gb_per_s: 0}", "2:26: link_in_node.gb_per_s: 0 is not a number above 0"},
    {"gpu: A100-SXM-80GB\nlink_in_node: {rings: [[3, 1, 1]]}", "2:24: rings: of 2, 4, 8, ... 256 GPUs, not 3"},
    {"gpu: A100-SXM-80GB\nlink_in_node: {rings: [[2, 1]]}",
     "2:24: rings: [GPUs, start_us, bus_gb_per_s] is expected here"},
    {"gpu: A100-SXM-80GB\nlink_in_node: {rings: 3}", "2:23: rings: a list is expected here"},
    {"gpu: A100-SXM-80GB\nlink_between: 3", "2:15: link_between: a map of keys is expected here"},
    {"gpu: A100-SXM-80GB\nlink_between: {efficiency: -1}", "2:28: link_between.efficiency: -1 is not a number above 0"},
    {"gpu: A100-SXM-80GB\nprice_per_gpu_hour: -1", "2:21: price_per_gpu_hour: -1 is not a number from 0 up"},
    {"gpu: A100-SXM-80GB\nmemory_reserved_gb: 80", "2:21: memory_reserved_gb: 80 leaves nothing of the 80 GB of a GPU"},
    {"gpu: {kind: A100-SXM-80GB, peak_tflops: 1e-300}", "1:41: gpu.peak_tflops: is out of range"},
    {"gpu: A100-SXM-80GB\nsoftware: wefd", "2:11: software: no 'wefd' is known (nearest: 'weft')"},
    {"gpu: A100-SXM-80GB\nsoftware: {name: weft, messages: late}",
     "2:34: messages: overlapped or blocking, not 'late'"},
    {"gpu: A100-SXM-80GB\nsoftware: {name: weft, shards: [all]}",
     "2:33: shards: no 'all' is known; there are none, optimizer, gradients, weights"},
    {"gpu: A100-SXM-80GB\nsoftware: {name: weft, shards: []}", "2:32: shards: a list of names is expected here"},
    {"gpu: A100-SXM-80GB\nsoftware: {name: weft, host_exponent: 0.5}",
     "2:39: software.host_exponent: 0.5 is not between 1 and 100"},
    {"gpu: A100-SXM-80GB\nsoftware: {selective_share: 1.5}",
     "2:29: software.selective_share: 1.5 is not a share, 0 to 1"},
    {"gpu: A100-SXM-80GB\nlink_between: {gb_per_s_per_node: -2}",
     "2:35: link_between.gb_per_s_per_node: -2 is not a number above 0"},
    {"gpu: {kind: A100-SXM-80GB, peak_tflops: -3}", "1:41: gpu.peak_tflops: -3 is not a number above 0"},
    {"gpu: A100-SXM-80GB\nsoftware: {host_us_per_layer: -4}",
     "2:31: software.host_us_per_layer: -4 is not a number from 0 up"},
    {"gpu: A100-SXM-80GB\nlink_in_node: {message_us: -1}",
     "2:28: link_in_node.message_us: -1 is not a number from 0 up"},
    {"gpu: A100-SXM-80GB\nlayer_times: [[1, 1, 1.5, 1, 1]]",
     "2:15: layer_times: [hidden, tensor, micro_batch, forward_ms, backward_ms] is expected here, and behind it, "
     "where they were measured, both of the embedding, both of the head, and what a tensor group adds up a layer and "
     "step"},
    {"gpu: A100-SXM-80GB\nlayer_times: [[1, 1, 1, 1, 1, 1]]",
     "2:15: layer_times: [hidden, tensor, micro_batch, forward_ms, backward_ms] is expected here, and behind it, "
     "where they were measured, both of the embedding, both of the head, and what a tensor group adds up a layer and "
     "step"},
};

static void test_bad_clusters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_clusters / sizeof *bad_clusters; i++) {
        weft_plan_cluster cluster;
        weft_arena arena;
        weft_error error;
        char says[300];
        weft_arena_init(&arena);
        assert_int_equal(read_cluster(bad_clusters[i].text, &arena, &cluster, &error), WEFT_INVALID);
        snprintf(says, sizeof says, "folder/cluster:%s", bad_clusters[i].says);
        assert_string_equal(error.text, says);
        weft_arena_fini(&arena);
    }
}

/* Each number is told as it stands in the file, whatever it is kept in. */
static void test_told_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *before, *keys[20], *after;
    } sections[] = {
        {"", {"price_per_gpu_hour", "memory_reserved_gb"}, ""},
        {"link_in_node: {", {"gb_per_s", "message_us", "message_gather_gb_per_s"}, "}"},
        {"link_between: {", {"gb_per_s_per_node", "efficiency", "start_us", "message_us"}, "}"},
        {"gpu: {kind: A100-SXM-80GB, ",
         {"memory_gb", "peak_tflops", "memory_gb_per_s", "multiprocessors", "fill", "scores_bytes", "loss_bytes"},
         "}"},
        {"software: {",
         {"host_us_per_layer", "host_exponent", "speed", "step_ms", "stall_us", "optimizer_traffic_bytes",
          "weight_bytes", "gathered_bytes", "gather_times", "selective_share", "memory_slack"},
         "}"}};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        for (const char *const *key = sections[i].keys; *key; key++) {
            char text[200];
            weft_arena arena;
            weft_plan_cluster cluster;
            weft_error error = {0};
            weft_arena_init(&arena);
            snprintf(text, sizeof text, "%s%s%s: -3%s\n",
                     strncmp(sections[i].before, "gpu", 3) ? "gpu: A100-SXM-80GB\n" : "", sections[i].before, *key,
                     sections[i].after);
            assert_int_equal(read_cluster(text, &arena, &cluster, &error), WEFT_INVALID);
            if (!strstr(error.text, ": -3 is not ")) fail_msg("%s: %s", *key, error.text);
            weft_arena_fini(&arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models),         cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_cluster),        cmocka_unit_test(test_bad_clusters),
        cmocka_unit_test(test_written),        cmocka_unit_test(test_adapters_go_with_the_gpus),
        cmocka_unit_test(test_told_as_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
