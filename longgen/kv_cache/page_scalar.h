// kv_cache/page_scalar.h: types of pages and torch's types of numbers.
#pragma once

#include <c10/core/ScalarType.h>

#include "longgen/kv_cache/page_format.h"

namespace longgen {

/// The type of pages that keep keys and values as a model in `dtype` computes them. Throws Error on
/// a type that no page has.
PageType page_type(at::ScalarType dtype);
/// The type in which attention to pages of a type computes.
at::ScalarType scalar_type(PageType type);

}  // namespace longgen
