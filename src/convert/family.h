/*
 * Families of models: what config.json calls the keys of weft's model, and which tensors of a folder make each of its
 * parameters. Internal to convert/.
 *
 * Threads: any; the tables are constant.
 */
#ifndef WEFT_CONVERT_FAMILY_H
#define WEFT_CONVERT_FAMILY_H

#include "config/document.h"
#include "model/model.h"

typedef enum weft_key_kind { WEFT_KEY_WHOLE, WEFT_KEY_NUMBER, WEFT_KEY_TRUTH } weft_key_kind;

/* A key of config.json and the model's. */
typedef struct weft_family_key {
    const char *name; /* NULL ends a table */
    const char *key;  /* of the configuration, without "model." */
    weft_key_kind kind;
    size_t offset;             /* in weft_model_config */
    const char *absent, *null; /* the value where the key is missing, or null; NULL: it must be there, be no null */
} weft_family_key;

/* A key that may only have some values; the first is what it is where it is missing. */
typedef struct weft_family_word {
    const char *name;  /* NULL ends a table */
    const char *words; /* "silu|swish" */
} weft_family_word;

enum { WEFT_FAMILY_PARTS = 3 };

/* Tensors that make a parameter, one row band each; a single one has all rows. Names without "layer.N." and the like.
 */
typedef struct weft_family_tensor {
    const char *parameter; /* NULL ends a table */
    const char *names[WEFT_FAMILY_PARTS];
    bool transposed;
} weft_family_tensor;

typedef struct weft_family {
    const char *name, *architecture; /* model_type, architectures[0] */
    const char *preset;              /* keys of the model that all of the family have, in YAML */
    const char *layers;              /* what stands before a layer's number */
    const char *optional;            /* a prefix of all names that files may lack, or NULL */
    bool rotary;
    const weft_family_key *keys;
    const weft_family_word *words; /* first: the activation's */
    const weft_family_tensor *tensors;
    const char *const *unused; /* NULL-terminated endings of tensors' names that are no weights */
} weft_family;

/* NULL-terminated. */
const weft_family *const *weft_families(void);
const weft_family *weft_family_find(const char *name); /* or NULL */

/* The keys of rotary positions that are stretched, all of which some kinds have: see rotary.c. */
extern const weft_family_key weft_rotary_keys[];
bool weft_rotary_has(int64_t scaling, const char *name);

/* The model of a config.json, as YAML of weft's keys. WEFT_INVALID at the key. */
weft_status weft_family_read(const weft_document *document, const weft_family **out, weft_text *yaml,
                             weft_error *error) WEFT_CHECKED;
/* rope_theta, rope_scaling or rope_parameters, appended to yaml. */
weft_status weft_rotary_read(const weft_document *document, weft_text *yaml, weft_error *error) WEFT_CHECKED;
bool weft_rotary_is_key(const char *name);

bool weft_node_is_null(const weft_node *node);

/* Value of one key as text, checked to be of its kind. */
weft_status weft_family_value(const weft_document *document, const weft_node *map, const weft_family_key *key,
                              const char **out, weft_error *error) WEFT_CHECKED;

/* Keys of config.json that change no mathematics, and are kept on the way out. */
bool weft_family_is_idle(const char *name);

/* *out_key: NULL, or the first of the model's keys whose value no model of the family has. */
weft_status weft_family_compare(const weft_family *family, const weft_model_config *model, const char **out_key,
                                weft_error *error) WEFT_CHECKED;

/* The family of a checkpoint's model: that of the config.json it came from, if it is known (else NULL) and still has
 * such models, else the first in the table. A context that was cut for training becomes what it was. WEFT_INVALID: no
 * family has such models. */
weft_status weft_family_choose(const char *checkpoint, const weft_document *source, weft_model_config *model,
                               const weft_family **out, weft_error *error) WEFT_CHECKED;

/* config.json of a model; source, of which idle keys are kept, may be NULL. */
void weft_family_write(const weft_family *family, const weft_model_config *model, const weft_document *source,
                       weft_element element, weft_text *out);

/* Rows of a parameter that one tensor has. */
enum { WEFT_TENSOR_NAME = 128 };
typedef struct weft_band {
    char name[WEFT_TENSOR_NAME];
    int64_t first, rows;
} weft_band;

/* The tensors that make a parameter. Returns how many; 0: none is known. */
int weft_family_bands(const weft_family *family, const weft_parameter *parameter, weft_band out[WEFT_FAMILY_PARTS],
                      bool *out_transposed);

/* Files besides config.json and tensors that belong to a folder; NULL-terminated. */
extern const char *const weft_folder_files[];

#endif
