/* weft on the emulator. What it measures at the start is as many products as there is time for, which differs from run
 * to run: none of it counts among the operations of which one is to fail. */
#include "device/cuda/products.h"
#include "emulator.h"

weft_status __real_weft_cuda_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                          weft_error *error) WEFT_CHECKED;
weft_status __wrap_weft_cuda_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                          weft_error *error) WEFT_CHECKED;

weft_status __wrap_weft_cuda_measure_peak(const weft_device_options *options, double seconds, double *out_flops,
                                          weft_error *error)
{
    emulator_spare(1);
    weft_status status = __real_weft_cuda_measure_peak(options, seconds, out_flops, error);
    emulator_spare(-1);
    return status;
}
