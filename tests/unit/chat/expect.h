// expect.h: the values of many expressions at once.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/chat/render.h"

namespace longgen {

/// Expects of each pair that the first, as an expression, prints the second.
inline void expect(const std::vector<std::pair<const char*, const char*>>& cases,
                   const std::string& variables = "{}") {
  for (const auto& [expression, expected] : cases) {
    EXPECT_EQ(render(std::string("{{ ") + expression + " }}", variables), expected) << expression;
  }
}

}  // namespace longgen
