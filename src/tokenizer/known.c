#include "tokenizer/known.h"

#include <stdio.h>
#include <string.h>

/* A name, or where most > 1 that many: "%d" in it counts from `from`; ids go on from `id`. */
struct weft_names {
    const char *name;
    int32_t id;
    int most, from;
};

typedef struct weft_names names;

static const names gpt2_names[] = {{"<|endoftext|>", 50256, 1, 0}, {0}};

static const names cl100k_names[] = {{"<|endoftext|>", 100257, 1, 0},   {"<|fim_prefix|>", 100258, 1, 0},
                                     {"<|fim_middle|>", 100259, 1, 0},  {"<|fim_suffix|>", 100260, 1, 0},
                                     {"<|endofprompt|>", 100276, 1, 0}, {0}};

static const names o200k_names[] = {{"<|endoftext|>", 199999, 1, 0}, {"<|endofprompt|>", 200018, 1, 0}, {0}};

static const names llama3_names[] = {{"<|begin_of_text|>", 128000, 1, 0},
                                     {"<|end_of_text|>", 128001, 1, 0},
                                     {"<|reserved_special_token_%d|>", 128002, 2, 0},
                                     {"<|finetune_right_pad_id|>", 128004, 1, 0},
                                     {"<|step_id|>", 128005, 1, 0},
                                     {"<|start_header_id|>", 128006, 1, 0},
                                     {"<|end_header_id|>", 128007, 1, 0},
                                     {"<|eom_id|>", 128008, 1, 0},
                                     {"<|eot_id|>", 128009, 1, 0},
                                     {"<|python_tag|>", 128010, 1, 0},
                                     {"<|image|>", 128011, 1, 0},
                                     {"<|reserved_special_token_%d|>", 128012, 244, 2},
                                     {0}};

static const names llama4_names[] = {{"<|begin_of_text|>", 200000, 1, 0},
                                     {"<|end_of_text|>", 200001, 1, 0},
                                     {"<|fim_prefix|>", 200002, 1, 0},
                                     {"<|fim_middle|>", 200003, 1, 0},
                                     {"<|fim_suffix|>", 200004, 1, 0},
                                     {"<|header_start|>", 200005, 1, 0},
                                     {"<|header_end|>", 200006, 1, 0},
                                     {"<|eom|>", 200007, 1, 0},
                                     {"<|eot|>", 200008, 1, 0},
                                     {"<|step|>", 200009, 1, 0},
                                     {"<|text_post_train_reserved_special_token_%d|>", 200010, 6, 0},
                                     {"<|python_start|>", 200016, 1, 0},
                                     {"<|python_end|>", 200017, 1, 0},
                                     {"<|finetune_right_pad|>", 200018, 1, 0},
                                     {"<|text_post_train_reserved_special_token_%d|>", 200019, 61, 8},
                                     {"<|image_start|>", 200080, 1, 0},
                                     {"<|image_end|>", 200081, 1, 0},
                                     {"<|vision_reserved_special_token_%d|>", 200082, 2, 0},
                                     {"<|tile_x_separator|>", 200084, 1, 0},
                                     {"<|tile_y_separator|>", 200085, 1, 0},
                                     {"<|vision_reserved_special_token_%d|>", 200086, 4, 2},
                                     {"<|image|>", 200090, 1, 0},
                                     {"<|vision_reserved_special_token_%d|>", 200091, 1, 6},
                                     {"<|patch|>", 200092, 1, 0},
                                     {"<|vision_reserved_special_token_%d|>", 200093, 1041, 7},
                                     {"<|reasoning_reserved_special_token_%d|>", 201134, 8, 0},
                                     {"<|reasoning_thinking_start|>", 201142, 1, 0},
                                     {"<|reasoning_thinking_end|>", 201143, 1, 0},
                                     {"<|reserved_special_token_%d|>", 201144, 904, 0},
                                     {0}};

static const names qwen_names[] = {{"<|endoftext|>", 151643, 1, 0},
                                   {"<|im_start|>", 151644, 1, 0},
                                   {"<|im_end|>", 151645, 1, 0},
                                   {"<|extra_%d|>", 151646, 205, 0},
                                   {0}};

static const names qwen35_names[] = {{"<|endoftext|>", 248044, 1, 0},
                                     {"<|im_start|>", 248045, 1, 0},
                                     {"<|im_end|>", 248046, 1, 0},
                                     {"<|object_ref_start|>", 248047, 1, 0},
                                     {"<|object_ref_end|>", 248048, 1, 0},
                                     {"<|box_start|>", 248049, 1, 0},
                                     {"<|box_end|>", 248050, 1, 0},
                                     {"<|quad_start|>", 248051, 1, 0},
                                     {"<|quad_end|>", 248052, 1, 0},
                                     {"<|vision_start|>", 248053, 1, 0},
                                     {"<|vision_end|>", 248054, 1, 0},
                                     {"<|vision_pad|>", 248055, 1, 0},
                                     {"<|image_pad|>", 248056, 1, 0},
                                     {"<|video_pad|>", 248057, 1, 0},
                                     {"<tool_call>", 248058, 1, 0},
                                     {"</tool_call>", 248059, 1, 0},
                                     {"<|fim_prefix|>", 248060, 1, 0},
                                     {"<|fim_middle|>", 248061, 1, 0},
                                     {"<|fim_suffix|>", 248062, 1, 0},
                                     {"<|fim_pad|>", 248063, 1, 0},
                                     {"<|repo_name|>", 248064, 1, 0},
                                     {"<|file_sep|>", 248065, 1, 0},
                                     {"<tool_response>", 248066, 1, 0},
                                     {"</tool_response>", 248067, 1, 0},
                                     {"<think>", 248068, 1, 0},
                                     {"</think>", 248069, 1, 0},
                                     {"<|audio_start|>", 248070, 1, 0},
                                     {"<|audio_end|>", 248071, 1, 0},
                                     {"<tts_pad>", 248072, 1, 0},
                                     {"<tts_text_bos>", 248073, 1, 0},
                                     {"<tts_text_eod>", 248074, 1, 0},
                                     {"<tts_text_bos_single>", 248075, 1, 0},
                                     {"<|audio_pad|>", 248076, 1, 0},
                                     {0}};

static const weft_known_file all[] = {
    {"r50k", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930", "gpt2", NULL, -1, 50256, gpt2_names},
    {"p50k", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069", "gpt2", NULL, -1, 50256, gpt2_names},
    {"cl100k", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7", "cl100k", NULL, -1, 100257,
     cl100k_names},
    {"o200k", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d", "o200k", NULL, -1, 199999,
     o200k_names},
    {"llama3", "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55", "llama3", NULL, 128000, 128001,
     llama3_names},
    {"llama4", "d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed", "o200k", NULL, 200000, 200001,
     llama4_names},
    {"qwen", "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186", "qwen", "NFC", -1, 151643, qwen_names},
    {"qwen3.5", "8dde380a6405e935f5de16a99eb61c824f3f814dd1ed298784c72babb7a03cdd", "qwen3.5", "NFC", -1, 248044,
     qwen35_names},
};

const weft_known_file *weft_known_file_find(const void *text, size_t length)
{
    char hash[65];
    weft_sha256(text, length, hash);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].sha256, hash) == 0) return &all[i];
    return NULL;
}

weft_status weft_known_file_names(const weft_known_file *known,
                                  weft_status (*take)(void *context, int32_t id, const char *name, weft_error *error),
                                  void *context, weft_error *error)
{
    for (const names *row = known->names; row->name; row++) {
        const char *counted = strstr(row->name, "%d");
        for (int i = 0; i < row->most; i++) {
            char name[96];
            if (counted)
                snprintf(name, sizeof name, "%.*s%d%s", (int)(counted - row->name), row->name, row->from + i,
                         counted + 2);
            TRY(take(context, row->id + i, counted ? name : row->name, error));
        }
    }
    return WEFT_OK;
}
