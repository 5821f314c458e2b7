// model/model_path.h: what a path is that should have been a model directory, so that a message can
// say which path or command is meant.
#pragma once

#include <string>

#include "longgen/base/files.h"

namespace longgen {

/// Throws Error unless `path` is a folder with config.json. The message says what the
/// path is and what to do: nothing of this name (longgen does not download), a GGUF
/// or another file (import), a training run (RUN/model, or its last checkpoint), a
/// token dataset, or a folder of another kind.
void expect_model_directory(const fs::path& path);

/// Ends a message about a path that is nowhere: says what fetches a model, where the path looks
/// like an address or a repository's name on huggingface.co ("Organisation/Name"), else nothing.
std::string download_advice(const fs::path& path);

}  // namespace longgen
