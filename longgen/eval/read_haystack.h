// eval/read_haystack.h: a haystack of files.
#pragma once

#include <vector>

#include "longgen/base/files.h"
#include "longgen/eval/haystack.h"

namespace longgen {

/// Makes a haystack of all documents of the files and folders (see expand_inputs()), one after the
/// other. Throws Error for a file that cannot be read and where there is no sentence.
Haystack read_haystack(const std::vector<fs::path>& inputs);

}  // namespace longgen
