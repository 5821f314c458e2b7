// recipe_fuzz.cpp: bytes as a recipe. After the first NUL come overrides, as --set gives them, with
// a NUL between them. What is refused must be refused by a message that says where; what is
// accepted must come back the same from its own dump, with the same hash.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {
namespace {

constexpr size_t kMaxOverrides = 8;

void check_dump(const Recipe& recipe) {
  const std::string text = dump_recipe(recipe);
  const Recipe again = parse_recipe(text, "dump.toml");
  const bool same = again == recipe && dump_recipe(again) == text &&
                    recipe_hash(again) == recipe_hash(recipe) &&
                    resume_differences(recipe, again).empty();
  if (!same) std::abort();
}

std::vector<std::string> overrides_in(std::string_view bytes) {
  std::vector<std::string> overrides;
  size_t end = bytes.find('\0');
  while (end != std::string_view::npos && overrides.size() < kMaxOverrides) {
    bytes.remove_prefix(end + 1);
    end = bytes.find('\0');
    overrides.emplace_back(bytes.substr(0, end));
  }
  return overrides;
}

}  // namespace
}  // namespace longgen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longgen;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Recipe recipe;
  try {
    recipe = parse_recipe(bytes.substr(0, bytes.find('\0')), "fuzz.toml", overrides_in(bytes));
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (!message.starts_with("fuzz.toml: ") && !message.starts_with("--set")) std::abort();
    return 0;
  }
  try {
    check_dump(recipe);
  } catch (const Error&) {
    std::abort();
  }
  return 0;
}
