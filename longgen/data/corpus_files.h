// data/corpus_files.h: the files of a corpus folder.
#pragma once

#include <vector>

#include "longgen/base/files.h"

namespace longgen {

/// Gives the files of a folder, recursively, in name order and whatever their kind; of a
/// path that is no folder, the path itself. Hidden files and folders are left out. Links
/// are followed. Throws Error when the path is missing, a link leads nowhere, a folder
/// cannot be read, or a folder is reached twice: by a link back to one that holds it, or by
/// two ways (which would count its files double).
std::vector<fs::path> corpus_files(const fs::path& path);

}  // namespace longgen
