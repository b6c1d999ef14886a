/* config.json as keys of the model. What is not known is refused: it may change what the model computes. */
#include "convert/family.h"

#include <stdio.h>
#include <string.h>

/* Settings of generation, of training, of programs; and which tokens begin and end a text. */
static const char *const idle_keys[] = {"_name_or_path",
                                        "attention_dropout",
                                        "attn_pdrop",
                                        "bos_token_id",
                                        "chunk_size_feed_forward",
                                        "decoder_start_token_id",
                                        "do_sample",
                                        "embd_pdrop",
                                        "embedding_dropout",
                                        "eos_token_id",
                                        "finetuning_task",
                                        "gradient_checkpointing",
                                        "id2label",
                                        "initializer_range",
                                        "is_llama_config",
                                        "keys_to_ignore_at_inference",
                                        "label2id",
                                        "max_length",
                                        "max_window_layers",
                                        "min_length",
                                        "n_ctx",
                                        "num_beams",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "pad_token_id",
                                        "prefix",
                                        "pretraining_tp",
                                        "problem_type",
                                        "repetition_penalty",
                                        "resid_pdrop",
                                        "residual_dropout",
                                        "return_dict",
                                        "sep_token_id",
                                        "summary_activation",
                                        "summary_first_dropout",
                                        "summary_proj_to_labels",
                                        "summary_type",
                                        "summary_use_proj",
                                        "task_specific_params",
                                        "temperature",
                                        "tokenizer_class",
                                        "top_k",
                                        "top_p",
                                        "torchscript",
                                        "transformers.js_config",
                                        "unk_token_id",
                                        "use_bfloat16",
                                        "use_cache"};

bool weft_family_is_idle(const char *name)
{
    for (size_t i = 0; i < sizeof idle_keys / sizeof *idle_keys; i++)
        if (strcmp(idle_keys[i], name) == 0) return true;
    return false;
}

static const struct {
    const char *name, *why;
} refused[] = {
    {"quantization_config", "its weights are quantised: export them in F32, BF16 or F16 first"},
    {"compression_config", "its weights are quantised: export them in F32, BF16 or F16 first"},
    {"num_local_experts", "it is a mixture of experts, which weft does not train"},
    {"num_experts", "it is a mixture of experts, which weft does not train"},
    {"n_routed_experts", "it is a mixture of experts, which weft does not train"},
    {"auto_map", "its mathematics is in a program of its own"},
};

/* Whether a text is one of "a|b". */
static bool is_among(const char *text, const char *words)
{
    size_t length = strlen(text);
    for (const char *at = words; length > 0; at++) {
        size_t word = strcspn(at, "|");
        if (word == length && strncmp(at, text, word) == 0) return true;
        at += word;
        if (!*at) return false;
    }
    return false;
}

static weft_status check_words(const weft_document *document, const weft_family *family, weft_error *error)
{
    for (const weft_family_word *word = family->words; word->name; word++) {
        const weft_node *node = weft_node_get(document->root, word->name);
        if (!node || weft_node_is_null(node)) continue;
        if (node->kind == WEFT_NODE_TEXT && is_among(node->text, word->words)) continue;
        char shown[64];
        size_t length = strcspn(word->words, "|");
        snprintf(shown, sizeof shown, "%.*s", (int)length, word->words);
        return weft_document_complain(document, node, error, "%s: weft knows %s only, not this", word->name, shown);
    }
    return WEFT_OK;
}

/* The first entry of a list; NULL where the key is missing, or null, or the list is empty. */
static weft_status get_list(const weft_document *document, const char *key, const weft_node **out, weft_error *error)
{
    const weft_node *node = weft_node_get(document->root, key);
    *out = NULL;
    if (!node || weft_node_is_null(node)) return WEFT_OK;
    if (node->kind != WEFT_NODE_LIST)
        return weft_document_complain(document, node, error, "%s: a list is expected here", key);
    *out = node->first;
    return WEFT_OK;
}

/* All layers see everything before them, or in Mistral's way all the same window. */
static weft_status check_layer_types(const weft_document *document, weft_error *error)
{
    const weft_node *first = NULL;
    TRY(get_list(document, "layer_types", &first, error));
    for (const weft_node *type = first; type; type = type->next)
        if (type->kind != WEFT_NODE_TEXT || strcmp(type->text, "full_attention") != 0)
            return weft_document_complain(document, type, error,
                                          "layer_types: weft knows layers of full_attention only");
    return WEFT_OK;
}

/* Llama has biases in all products or in none, as weft does. */
static weft_status check_biases(const weft_document *document, const weft_family *family, weft_error *error)
{
    bool attention = false, mlp = false;
    const weft_node *a = weft_node_get(document->root, "attention_bias"),
                    *b = weft_node_get(document->root, "mlp_bias");
    if (strcmp(family->name, "llama") != 0) return WEFT_OK;
    if (a && !weft_node_is_null(a)) TRY(weft_node_truth(document, a, &attention, error));
    if (b && !weft_node_is_null(b)) TRY(weft_node_truth(document, b, &mlp, error));
    if (attention == mlp) return WEFT_OK;
    return weft_document_complain(document, attention ? a : b, error,
                                  "attention_bias and mlp_bias: weft has both or none of them");
}

static bool is_key(const weft_family *family, const char *name)
{
    static const char *const others[] = {"model_type", "architectures",        "torch_dtype",
                                         "dtype",      "transformers_version", "layer_types"};
    for (const weft_family_key *key = family->keys; key->name; key++)
        if (strcmp(key->name, name) == 0) return true;
    for (const weft_family_word *word = family->words; word->name; word++)
        if (strcmp(word->name, name) == 0) return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], name) == 0) return true;
    if (strcmp(name, "mlp_bias") == 0) return strcmp(family->name, "llama") == 0;
    if (strcmp(name, "sliding_window") == 0) return true; /* of Qwen, which says by another key that it is off */
    return (family->rotary && weft_rotary_is_key(name)) || weft_family_is_idle(name);
}

static weft_status check_known(const weft_document *document, const weft_family *family, weft_error *error)
{
    for (const weft_node *node = document->root->first; node; node = node->next) {
        if (weft_node_is_null(node)) continue;
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (strcmp(refused[i].name, node->key) == 0)
                return weft_document_complain(document, node, error, "%s: %s", node->key, refused[i].why);
        if (!is_key(family, node->key))
            return weft_document_complain(document, node, error,
                                          "%s: weft does not know what this key of %s does to the model; take it out "
                                          "only if it does nothing",
                                          node->key, family->name);
    }
    return WEFT_OK;
}

static weft_status find_family(const weft_document *document, const weft_family **out, weft_error *error)
{
    const char *name = NULL;
    const weft_node *type = weft_node_get(document->root, "model_type"), *first = NULL;
    if (document->root->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, document->root, error, "a map of keys is expected here");
    if (!type) FAIL(error, WEFT_INVALID, "%s: model_type is missing", document->name);
    TRY(weft_node_text(document, type, &name, error));
    *out = weft_family_find(name);
    if (!*out)
        return weft_document_complain(
            document, type, error,
            "model_type: weft knows gpt2, llama, mistral, qwen2, qwen3 and starcoder2, not '%.40s'", name);
    TRY(get_list(document, "architectures", &first, error));
    if (!first || (first->kind == WEFT_NODE_TEXT && strcmp(first->text, (*out)->architecture) == 0)) return WEFT_OK;
    return weft_document_complain(document, first, error, "architectures: only %s predicts tokens as weft does",
                                  (*out)->architecture);
}

weft_status weft_family_read(const weft_document *document, const weft_family **out, weft_text *yaml, weft_error *error)
{
    TRY(find_family(document, out, error));
    const weft_family *family = *out;
    TRY(check_known(document, family, error));
    TRY(check_words(document, family, error));
    TRY(check_layer_types(document, error));
    TRY(check_biases(document, family, error));
    weft_text_add(yaml, "%s", family->preset);
    for (const weft_family_key *key = family->keys; key->name; key++) {
        const char *value = NULL;
        TRY(weft_family_value(document, document->root, key, &value, error));
        weft_text_add(yaml, "  %s: %s\n", key->key, value);
    }
    if (family->rotary) TRY(weft_rotary_read(document, yaml, error));
    return weft_text_check(yaml, error);
}
