// bench/row_error.h: how wrong a result is, row by row. One maximum over a whole tensor hides rows
// that are smaller than others: late rows of attention, which are means of many values.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// The error of each row: its largest difference from the truth, over the row's size. That size is
/// its largest number, or, where terms cancel, the largest root of the sum of the squares of the
/// terms that one number is the sum of: rounding terms at random errs by that times the spacing.
///   found       (..., D)  any type
///   truth       (..., D)  fp64
///   term_sizes  (..., D)  fp64, those roots
///   returns     (...)     fp64; infinity where a number is NaN
at::Tensor row_errors(const at::Tensor& found, const at::Tensor& truth,
                      const at::Tensor& term_sizes);

/// The largest error that the rows of an output of attention, or of a gradient, may have.
/// bf16 rounds a number by up to 2^-8 of itself. An output rounds its weights and itself. Terms of
/// one sign err together by at most 2^-8 of their sum, which with its own rounding is 2^-7. Terms
/// that cancel err at random, each with a standard deviation of 0.43 * 2^-8 of itself, and the
/// rounding of the small sum is small: below 2^-7 up to six standard deviations. A gradient adds
/// the rounding of the output that it starts from, and that of k rounds its terms twice: 2^-6.
/// These roundings alone, in fp64 over every row of the cases in tests/gpu/attend_gpu_test.cpp,
/// err by up to 0.83 * 2^-7 and 0.62 * 2^-6. fp32 sums of this kind err by some 2^-20; 2^-14 leaves
/// room for the order of sums of 10^5 terms.
double output_tolerance(at::ScalarType dtype);
double gradient_tolerance(at::ScalarType dtype);

}  // namespace longgen
