// Memory stays constant however large the corpus is. In a child process, whose peak is its own.
#include <sys/resource.h>
#include <sys/wait.h>

#include "longgen/base/units.h"
#include "test_support.h"
#include "tests/unit/sanitized.h"

namespace longgen {
namespace {

/// Appends the same frame again and again: a large corpus that takes no time to write.
void write_repeated(const fs::path& path, const std::string& frame, int count) {
  std::ofstream out(path, std::ios::binary);
  for (int i = 0; i < count; ++i) out << frame;
}

class MemoryTest : public DataTest {
 protected:
  /// How much the peak of the resident memory grew in a child that runs prepare.
  int64_t peak_growth_bytes(const PrepareOptions& options, int64_t expected_documents) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(prepare_in_child(options, expected_documents));
    int status = 0;
    rusage usage{};
    ::wait4(child, &status, 0, &usage);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rusage own{};
    ::getrusage(RUSAGE_SELF, &own);
    // A child starts with its parent's pages.
    return (usage.ru_maxrss - own.ru_maxrss) * 1024;
  }

  static int prepare_in_child(const PrepareOptions& options, int64_t expected_documents) {
    TextEncoder encoder = byte_encoder();
    std::atomic<bool> waited = false;
    // One token for eight bytes. The first document takes long enough for an unbounded reader to
    // read everything.
    encoder.encode = [&waited](std::string_view text) {
      if (!waited.exchange(true)) ::usleep(1000000);
      return std::vector<int32_t>(text.size() / 8 + 1, 1);
    };
    try {
      return prepare_dataset(encoder, options).train.num_documents == expected_documents ? 0 : 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 2;
    }
  }
};

TEST_F(MemoryTest, AManyTimesLargerCorpusTakesNoMoreMemory) {
#ifdef LONGGEN_TEST_SANITIZED
  GTEST_SKIP() << "a sanitizer takes memory of its own";
#endif
  std::string lines;
  while (lines.size() < (8u << 20)) {
    lines +=
        "{\"text\": \"" + std::string(2000, static_cast<char>('a' + lines.size() % 26)) + "\"}\n";
  }
  const int64_t in_frame = std::count(lines.begin(), lines.end(), '\n');
  write_repeated(dir_ / "a.jsonl.zst", zstd(lines), 64);
  PrepareOptions o = options({dir_ / "a.jsonl.zst"});
  o.max_pending_bytes = 8 << 20;
  const int64_t growth = peak_growth_bytes(o, in_frame * 64);
  // 512 MiB of text. The bound: pending text and its tokens, a batch per thread, and buffers.
  EXPECT_LT(growth, 64 << 20) << format_bytes(growth);
}

TEST_F(MemoryTest, ALargeDocumentTakesASmallMultipleOfItself) {
#ifdef LONGGEN_TEST_SANITIZED
  GTEST_SKIP() << "a sanitizer takes memory of its own";
#endif
  constexpr int64_t kBytes = 64 << 20;
  const std::string line(1 << 16, 'x');
  write_repeated(dir_ / "a.txt", line.substr(1) + "\n", kBytes >> 16);
  // The text (a buffer that doubled while it grew) and one token for eight bytes, twice.
  const int64_t growth = peak_growth_bytes(options({dir_ / "a.txt"}), 1);
  EXPECT_LT(growth, 4 * kBytes) << format_bytes(growth);
}

}  // namespace
}  // namespace longgen
