// base/allocation.h: what becomes of memory that is freed.
#pragma once

namespace longgen {

/// Makes this process keep what it frees, and take large blocks from what it has. For work in which
/// tensors of the same sizes come and go: by default each of 32 MiB or more is given back to the
/// system when it goes, and the next one is made of fresh pages that the system fills with zeros
/// first. Without effect where the C library is not glibc.
void keep_freed_memory();

}  // namespace longgen
