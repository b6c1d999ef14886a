/*
 * The field table of fields.def, and values of one field from and to text. Private to config/.
 *
 * Threads: any; the table is constant.
 */
#ifndef WEFT_CONFIG_FIELDS_H
#define WEFT_CONFIG_FIELDS_H

#include "config/config.h"
#include "config/events.h"

typedef enum weft_field_type {
    WEFT_FIELD_INT,     /* int64_t */
    WEFT_FIELD_DOUBLE,  /* double */
    WEFT_FIELD_BOOL,    /* bool */
    WEFT_FIELD_TEXT,    /* const char *, UTF-8, in the config's arena */
    WEFT_FIELD_CHOICE,  /* int64_t, index into choices */
    WEFT_FIELD_LIST,    /* weft_config_list */
    WEFT_FIELD_SIZE,    /* int64_t bytes */
    WEFT_FIELD_SOURCES, /* weft_config_sources */
    WEFT_FIELD_TYPES
} weft_field_type;

typedef struct weft_field {
    const char *key;
    size_t offset; /* in weft_config */
    weft_field_type type;
    bool preset;
    const char *defaults[2];               /* by model.architecture; equal unless preset; NULL: required */
    const char *instead[WEFT_CONFIG_USES]; /* of what is configured; NULL: that counts */
    double minimum, maximum;
    const char *choices; /* "a|b|c" */
    const char *help;
} weft_field;

/* Keys and fields of one table; field i has key i. */
int weft_field_count(void);
const weft_field *weft_field_get(int index);
int weft_field_find(const char *key); /* -1: unknown */

/* The known key that a user most likely meant by an unknown one, or NULL: its section may be missing or another one. A
 * word without a dot may get a section. */
const char *weft_field_nearest(const char *key);
bool weft_field_is_section(const char *name);

enum {
    WEFT_ORIGIN_UNSET,
    WEFT_ORIGIN_DEFAULT,
    WEFT_ORIGIN_PRESET,
    WEFT_ORIGIN_FILE,
    WEFT_ORIGIN_COMMAND_LINE,
    WEFT_ORIGIN_PLAN,
    WEFT_ORIGIN_START
};

typedef struct weft_config_origin {
    int kind;
    const char *file; /* the configuration's name, whatever the kind */
    int64_t line, column;
} weft_config_origin;

/* Parses text into the field's member. WEFT_INVALID by weft_config_complain, so the origin is set before. */
weft_status weft_field_set(weft_config *config, int index, const char *text, weft_error *error) WEFT_CHECKED;

/* The value of a field of sources, of which yaml looks at the first event. Ends at its last one. */
weft_status weft_field_read_sources(weft_config *config, int index, weft_yaml *yaml, weft_error *error) WEFT_CHECKED;
/* The same from a text, such as [{path: a, weight: 2}, {path: b}]. */
weft_status weft_field_parse_sources(weft_config *config, int index, const char *text, weft_error *error) WEFT_CHECKED;
void weft_field_print_sources(const weft_config_sources *sources, weft_text *out);

/* The value as a YAML or JSON scalar or flow list. */
void weft_field_print(const weft_config *config, int index, bool json, weft_text *out);

/* "a whole number", "true or false", ... */
const char *weft_field_type_words(weft_field_type type);

/* Reads every key of a YAML text; origins tell which were there. */
weft_status weft_config_read_yaml(weft_config *config, const char *text, size_t length, const char *name,
                                  weft_error *error) WEFT_CHECKED;

/* What a run starts from takes the place of defaults that are not set yet. */
weft_status weft_config_adopt(weft_config *config, const weft_config_start *start, weft_error *error) WEFT_CHECKED;
/* WEFT_INVALID at a key that the user set to another value, once all values are resolved. */
weft_status weft_config_agree(const weft_config *config, const weft_config_start *start,
                              weft_error *error) WEFT_CHECKED;

/* A user's text fit for one line of a message: control characters become '?', and it is cut to the buffer. */
enum { WEFT_SHOWN_BYTES = 80 };
const char *weft_config_shown(const char *text, char *buffer, size_t size);

#endif
