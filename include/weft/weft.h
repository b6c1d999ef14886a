/*
 * libweft: pipeline-parallel training of transformer language models.
 *
 * So far the interface is the version alone, and neither the library nor this header is installed; what weft does is
 * reached by the command. It grows here and nowhere else.
 * Policy: every type declared here is opaque, every function is prefixed weft_, and nothing here prints, exits or
 * aborts. What is not declared in include/weft/ is not part of the library's interface.
 *
 * Threads: any.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEFT_PUBLIC __attribute__((visibility("default")))
#else
#define WEFT_PUBLIC
#endif

/* "MAJOR.MINOR.PATCH" of the library in use; static. */
WEFT_PUBLIC const char *weft_version(void);

#ifdef __cplusplus
}
#endif

#endif
