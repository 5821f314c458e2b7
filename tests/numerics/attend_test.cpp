// The attend op forward: against the reference in fp64, identities, determinism, errors.
#include <gtest/gtest.h>

#include "tests/numerics/attend_cases.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

Attended run(const Qkv& x, const AttendCase& c) {
  return attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern::parse(c.pattern), c.options());
}

Attended run_reference(const Qkv& x, const AttendCase& c) {
  return attend_reference(x.q_THD, x.k_SKD, x.v_SKD, Pattern::parse(c.pattern), c.options());
}

class AttendTest : public testing::TestWithParam<AttendCase> {};

TEST_P(AttendTest, ErrorIsWithinTwicePlainTorch) {
  const AttendCase c = GetParam();
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const Qkv x = random_qkv(c).to(type);
    const Attended truth = run_reference(x.to(torch::kDouble), c);
    const Attended plain = run_reference(x, c);
    const Attended ours = run(x, c);
    EXPECT_EQ(ours.out_THD.scalar_type(), type);
    EXPECT_LE(max_abs_diff(ours.out_THD, truth.out_THD),
              2 * max_abs_diff(plain.out_THD, truth.out_THD) + forward_floor(truth, type))
        << c << " " << type;
    EXPECT_LE(max_abs_diff(ours.lse_HT, truth.lse_HT),
              2 * max_abs_diff(plain.lse_HT, truth.lse_HT) + spacing(truth.lse_HT, torch::kFloat))
        << c << " " << type;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, AttendTest, testing::ValuesIn(attend_cases()));

TEST(AttendIdentityTest, WindowOverEverythingAndStrideOneAreFullAttention) {
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const AttendCase c = {500, 500, 9, 3, 64, "full"};
    const Qkv x = random_qkv(c).to(type);
    const Attended full = run(x, c);
    for (const char* same :
         {"sink=0,window=8,stride=0", "sink=0,window=1,stride=1", "sink=8,window=1,stride=0"}) {
      const Attended other = run(x, {500, 500, 9, 3, 64, same});
      EXPECT_LE(max_abs_diff(other.out_THD, full.out_THD), 8 * spacing(full.out_THD, type)) << same;
      // In bf16 ATen's own kernel rounds its scores otherwise; its LSE
      // is then not a measure for ours.
      if (type == torch::kFloat) {
        EXPECT_LE(max_abs_diff(other.lse_HT, full.lse_HT), 8 * spacing(full.lse_HT, type)) << same;
      }
    }
  }
}

TEST(AttendIdentityTest, AWindowInTokensIsTheSameAttentionOfEachQueryAlone) {
  const int64_t window = 100;
  const Qkv x = random_qkv({300, 300, 6, 2, 64, ""});
  const Attended all = attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern::window(window));
  for (const int64_t t : {0, 1, 62, 63, 64, 98, 99, 100, 163, 164, 255, 299}) {
    const int64_t first = std::max<int64_t>(0, t - window + 1);
    const auto keys = [&](const torch::Tensor& y) { return y.slice(0, first, t + 1); };
    const Attended one =
        attend(x.q_THD.slice(0, t, t + 1), keys(x.k_SKD), keys(x.v_SKD), Pattern());
    EXPECT_LE(max_abs_diff(all.out_THD.slice(0, t, t + 1), one.out_THD),
              8 * spacing(one.out_THD, torch::kFloat))
        << t;
  }
}

TEST(AttendIdentityTest, AWindowOverEverythingIsFullAttentionToTheBit) {
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    const Qkv x = random_qkv({500, 500, 9, 3, 64, ""}).to(type);
    const Attended full = attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern());
    const Attended window = attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern::window(500));
    EXPECT_TRUE(torch::equal(window.out_THD, full.out_THD));
    EXPECT_TRUE(torch::equal(window.lse_HT, full.lse_HT));
  }
}

TEST(AttendIdentityTest, PackedDocumentsAreDocumentsOneByOne) {
  for (const std::string pattern : {"full", "sink=1,window=2,stride=3", "window_tokens=70"}) {
    const AttendCase packed = {640, 640, 6, 3, 64, pattern, {0, 1, 100, 164, 500}};
    const Qkv x = random_qkv(packed);
    const Attended all = run(x, packed);
    for (size_t d = 0; d < packed.doc_starts.size(); ++d) {
      const int64_t begin = packed.doc_starts[d];
      const int64_t end = d + 1 < packed.doc_starts.size() ? packed.doc_starts[d + 1] : 640;
      const auto rows = [&](const torch::Tensor& t) { return t.slice(0, begin, end); };
      const Attended one =
          attend(rows(x.q_THD), rows(x.k_SKD), rows(x.v_SKD), Pattern::parse(pattern));
      EXPECT_LE(max_abs_diff(rows(all.out_THD), one.out_THD),
                4 * spacing(one.out_THD, torch::kFloat));
    }
  }
}

TEST(AttendIdentityTest, LastRowsOfALongerCallAreTheSame) {
  for (const std::string pattern : {"full", "sink=1,window=3,stride=4", "window_tokens=130"}) {
    const Qkv x = random_qkv({900, 900, 6, 2, 64, pattern});
    const Attended all = run(x, {900, 900, 6, 2, 64, pattern});
    for (int64_t count : {1, 63, 64, 65, 500}) {
      const Attended last =
          attend(x.q_THD.slice(0, 900 - count), x.k_SKD, x.v_SKD, Pattern::parse(pattern));
      EXPECT_LE(max_abs_diff(last.out_THD, all.out_THD.slice(0, 900 - count)),
                8 * spacing(all.out_THD, torch::kFloat))
          << pattern << " " << count;
    }
  }
}

TEST(AttendTest, RowWithoutVisibleKeyIsZeroWithLseMinusInfinity) {
  const Qkv x = random_qkv({200, 200, 4, 2, 64, ""});
  const Attended result = attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern::sparse(0, 0, 2, {0, 1}));
  // KV head 1 sees blocks 1 and 3: the queries of block 0 see nothing.
  EXPECT_EQ(max_abs(result.out_THD.slice(0, 0, 64).slice(1, 2, 4)), 0.0);
  EXPECT_TRUE((result.lse_HT.slice(0, 2, 4).slice(1, 0, 64) == -INFINITY).all().item<bool>());
  EXPECT_TRUE(result.out_THD.isfinite().all().item<bool>());
}

TEST(AttendTest, ThreadsAndStridesDoNotChangeABit) {
  const AttendCase c = {700, 900, 9, 3, 64, "sink=1,window=4,stride=5"};
  const Qkv x = random_qkv(c);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Attended one = run(x, c);
  at::set_num_threads(3);
  const Attended three = run(x, c);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one.out_THD, three.out_THD));
  EXPECT_TRUE(torch::equal(one.lse_HT, three.lse_HT));
  const auto strided = [](const torch::Tensor& t) {
    return t.transpose(0, 1).contiguous().transpose(0, 1);
  };
  const Attended other = run({strided(x.q_THD), strided(x.k_SKD), strided(x.v_SKD)}, c);
  EXPECT_TRUE(torch::equal(one.out_THD, other.out_THD));
}

TEST(AttendTest, LargeScoresStayFinite) {
  Qkv x = random_qkv({300, 300, 4, 2, 64, ""});
  x.q_THD *= 1000;
  const Attended result = attend(x.q_THD, x.k_SKD, x.v_SKD, Pattern::sparse(1, 2));
  EXPECT_TRUE(result.out_THD.isfinite().all().item<bool>());
  EXPECT_TRUE(result.lse_HT.isfinite().all().item<bool>());
}

TEST(AttendTest, NoQueriesGiveNoRows) {
  const Attended result = attend(torch::zeros({0, 4, 64}), torch::zeros({10, 2, 64}),
                                 torch::zeros({10, 2, 64}), Pattern::sparse(1, 2));
  EXPECT_EQ(result.out_THD.sizes(), (std::vector<int64_t>{0, 4, 64}));
}

std::string attend_error(const Qkv& x, const Pattern& pattern, const AttendOptions& options = {}) {
  return error_of([&] { attend(x.q_THD, x.k_SKD, x.v_SKD, pattern, options); });
}

TEST(AttendTest, ErrorsNameWhatWasFound) {
  const auto zeros = [](int64_t t, int64_t h, int64_t d) { return torch::zeros({t, h, d}); };
  EXPECT_NE(attend_error({zeros(4, 7, 8), zeros(4, 2, 8), zeros(4, 2, 8)}, Pattern())
                .find("num_heads 7 is not a multiple of num_kv_heads 2"),
            std::string::npos);
  EXPECT_NE(attend_error({zeros(4, 2, 8), zeros(3, 2, 8), zeros(3, 2, 8)}, Pattern())
                .find("as many keys"),
            std::string::npos);
  EXPECT_NE(attend_error({zeros(4, 2, 8), zeros(4, 2, 9), zeros(4, 2, 9)}, Pattern())
                .find("head sizes must be equal"),
            std::string::npos);
  EXPECT_NE(
      attend_error({zeros(4, 2, 8).to(torch::kHalf), zeros(4, 2, 8), zeros(4, 2, 8)}, Pattern())
          .find("dtype"),
      std::string::npos);
  AttendOptions options;
  options.doc_starts = torch::tensor({0, 2, 2}, torch::kLong);
  EXPECT_NE(attend_error({zeros(4, 2, 8), zeros(4, 2, 8), zeros(4, 2, 8)}, Pattern(), options)
                .find("must ascend from 0"),
            std::string::npos);
  EXPECT_NE(attend_error({zeros(4, 2, 8), zeros(4, 2, 8), zeros(4, 2, 8)},
                         Pattern::sparse(0, 1, 4, {0, 1, 2}))
                .find("one stride offset for each of 2 KV heads, found 3"),
            std::string::npos);
}

}  // namespace
}  // namespace longgen
