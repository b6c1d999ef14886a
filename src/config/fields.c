/* The field table: what keys there are, and which is meant by a word that is none. */
#include "config/fields.h"

#include <string.h>

#define ROW(key, member, type, preset, gpt2, llama, sample, rehearse, minimum, maximum, choices, help)                 \
    {key,                                                                                                              \
     offsetof(weft_config, member),                                                                                    \
     WEFT_FIELD_##type,                                                                                                \
     preset,                                                                                                           \
     {gpt2, llama},                                                                                                    \
     {NULL, sample, rehearse},                                                                                         \
     minimum,                                                                                                          \
     maximum,                                                                                                          \
     choices,                                                                                                          \
     help},
#define FIELD(key, member, type, value, ...) ROW(key, member, type, false, value, value, __VA_ARGS__)
#define PRESET(key, member, type, ...) ROW(key, member, type, true, __VA_ARGS__)
static const weft_field fields[] = {
#include "config/fields.def"
};
#undef FIELD
#undef PRESET
#undef ROW

enum { FIELDS = sizeof fields / sizeof fields[0] };

int weft_field_count(void)
{
    return FIELDS;
}

const weft_field *weft_field_get(int index)
{
    return &fields[index];
}

int weft_field_find(const char *key)
{
    for (int i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0) return i;
    return -1;
}

bool weft_field_is_section(const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; i < FIELDS; i++)
        if (strncmp(fields[i].key, name, length) == 0 && fields[i].key[length] == '.') return true;
    return false;
}

static const char *const sections[] = {"run", "model", "data", "batch", "optimizer", "parallel", "checkpoint"};

static const char *name_of(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot ? dot + 1 : key;
}

enum { ELSEWHERE = 8, FAR = 1000 };

/* How far a word is from a key: by their names, then by their sections. A name that belongs to another section comes
 * behind those of its own. */
static int distance_to(const char *word, const char *key)
{
    size_t section = (size_t)(name_of(word) - word), own = (size_t)(name_of(key) - key);
    int whole = weft_text_distance(word, key), name = weft_text_distance(name_of(word), name_of(key));
    bool same = section == own && strncmp(word, key, own) == 0;
    if (name >= 0) return 2 * name + (same ? 0 : section ? ELSEWHERE : 1);
    bool joined = !section && whole >= 0 && whole <= 2; /* "model_layers" */
    return joined ? 2 * whole + 1 : FAR;
}

const char *weft_field_nearest(const char *key)
{
    const char *nearest = NULL;
    int least = FAR;
    for (int i = 0; i < FIELDS; i++) {
        int distance = distance_to(key, fields[i].key);
        if (distance >= least) continue;
        least = distance;
        nearest = fields[i].key;
    }
    for (size_t i = 0; !strchr(key, '.') && i < sizeof sections / sizeof sections[0]; i++) {
        int distance = weft_text_distance(key, sections[i]);
        if (distance < 0 || 2 * distance >= least) continue;
        least = 2 * distance;
        nearest = sections[i];
    }
    return nearest;
}

const char *weft_field_type_words(weft_field_type type)
{
    static const char *const words[WEFT_FIELD_TYPES] = {
        [WEFT_FIELD_INT] = "a whole number",
        [WEFT_FIELD_DOUBLE] = "a number",
        [WEFT_FIELD_BOOL] = "true or false",
        [WEFT_FIELD_TEXT] = "a text",
        [WEFT_FIELD_CHOICE] = "a name",
        [WEFT_FIELD_LIST] = "a list of whole numbers such as [1, 2, 1]",
        [WEFT_FIELD_SOURCES] = "a list of sources such as [{path: a, weight: 2}, {path: b}]",
        [WEFT_FIELD_SIZE] = "a size in bytes such as 8GiB or 512MiB",
    };
    return words[type];
}
