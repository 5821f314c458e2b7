// train/recipe/nearest_key.h: what the author of a recipe probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// The known "section.key" that is nearest to `unknown` (with or without a section), or "" when
/// none is near. A key that is right but stands in the wrong section counts as one mistake.
std::string nearest_key(std::string_view unknown, const std::vector<std::string>& known);

}  // namespace longgen
