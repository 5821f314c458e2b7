#include "longgen/base/allocation.h"

#include <gtest/gtest.h>

#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "tests/unit/sanitized.h"

namespace longgen {
namespace {

#if defined(__GLIBC__) && !defined(LONGGEN_TEST_SANITIZED)
TEST(Allocation, LargeBlocksComeFromMemoryThatIsKept) {
  constexpr size_t kSize = size_t{64} << 20;
  const auto num_pages_of_their_own = [] { return mallinfo2().hblks; };
  const auto before = num_pages_of_their_own();
  {
    const std::vector<char> block(kSize, 1);
    EXPECT_EQ(num_pages_of_their_own(), before + 1);
  }
  keep_freed_memory();
  {
    const std::vector<char> block(kSize, 1);
    EXPECT_EQ(num_pages_of_their_own(), before);
  }
  EXPECT_GE(mallinfo2().fordblks, kSize);  // free, and still the process's
}
#endif

}  // namespace
}  // namespace longgen
