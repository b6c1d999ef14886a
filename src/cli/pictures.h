/* Files of a timeline that a verb writes: --svg and so on. Threads: main's. */
#ifndef WEFT_CLI_PICTURES_H
#define WEFT_CLI_PICTURES_H

#include "cli/verb.h"
#include "report/report.h"

/* Rows of a verb's option table that the functions here read. */
#define WEFT_CLI_PICTURE_OPTIONS                                                                                       \
    {"unit", "s|ms|us", "unit of the times (default s)"}, {"svg", "FILE", "draw the timeline"},                        \
        {"html", "FILE", "draw it as a page to zoom and hover in a browser"},                                          \
    {                                                                                                                  \
        "trace", "FILE", "write the timeline for ui.perfetto.dev and chrome://tracing"                                 \
    }

/* Static: s, ms or us. */
weft_status weft_cli_unit(const weft_arguments *arguments, const char **out, weft_error *error) WEFT_CHECKED;
double weft_cli_unit_seconds(const char *unit); /* of one s, ms or us */

/* WEFT_INVALID when this can not be a file that is replaced; the message has no name of an option or a key. */
weft_status weft_cli_output_check(const char *path, weft_error *error) WEFT_CHECKED;

/* WEFT_INVALID when the file of one of the options, where they are given, can not be one that is replaced, or when two
 * name the same. */
weft_status weft_cli_outputs_check(const weft_arguments *arguments, const char *const *options, int count,
                                   weft_error *error) WEFT_CHECKED;

/* WEFT_INVALID for an unknown unit, and for more actions than a picture that is asked for can hold. */
weft_status weft_cli_pictures_check(const weft_arguments *arguments, const weft_program *program,
                                    weft_error *error) WEFT_CHECKED;

/* Writes the files that are asked for. picture: its title and caption; the unit is the one of --unit. */
weft_status weft_cli_pictures_write(const weft_arguments *arguments, const weft_timeline *timeline,
                                    const weft_picture *picture, weft_error *error) WEFT_CHECKED;

/* The same of several timelines on one axis of time, in the units of their pictures. */
weft_status weft_cli_pictures_stack(const weft_arguments *arguments, const weft_panel *panels, int count,
                                    weft_error *error) WEFT_CHECKED;

#endif
