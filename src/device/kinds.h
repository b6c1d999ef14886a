/*
 * The kinds of device compiled into the library. Internal to src/device.
 *
 * weft_device_cpu exists only where oneDNN was found (WEFT_HAVE_ONEDNN), weft_device_cuda where the CUDA toolkit was
 * (WEFT_HAVE_CUDA). Threads: any; the kinds are const.
 */
#ifndef WEFT_DEVICE_KINDS_H
#define WEFT_DEVICE_KINDS_H

#include "device/device.h"

extern const weft_device_kind weft_device_reference;
extern const weft_device_kind weft_device_emulated;
extern const weft_device_kind weft_device_cpu;
extern const weft_device_kind weft_device_cuda;

/* What weft_device_kinds gives: the rows of kinds.def, then NULL. */
extern const weft_device_kind *const weft_device_kind_table[];

#endif
