#include "longgen/eval/buckets.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "test_support.h"

namespace longgen {
namespace {

using Edges = std::vector<int64_t>;

TEST(Edges, Double) {
  EXPECT_EQ(doubling_edges(1024, 8192), (Edges{0, 1024, 2048, 4096, 8192}));
  EXPECT_EQ(doubling_edges(1024, 5000), (Edges{0, 1024, 2048, 4096, 5000}));
  EXPECT_EQ(doubling_edges(1024, 1024), (Edges{0, 1024}));
  EXPECT_EQ(doubling_edges(1024, 100), (Edges{0, 100}));
  EXPECT_EQ(doubling_edges(1, 3), (Edges{0, 1, 2, 3}));
  const Edges most = doubling_edges(1, INT64_MAX);  // must not overflow
  EXPECT_EQ(most.size(), 65u);
  EXPECT_EQ(most.back(), INT64_MAX);
  EXPECT_TRUE(fails_with([] { doubling_edges(0, 5); }, "[doubling_edges] expected a first bucket"));
  EXPECT_TRUE(fails_with([] { doubling_edges(5, 0); }, "found 5 and 0"));
}

TEST(Edges, Uniform) {
  EXPECT_EQ(uniform_edges(4, 8), (Edges{0, 4, 8}));
  EXPECT_EQ(uniform_edges(4, 9), (Edges{0, 4, 8, 9}));
  EXPECT_EQ(uniform_edges(100, 9), (Edges{0, 9}));
  EXPECT_TRUE(fails_with([] { uniform_edges(1, INT64_MAX); }, "Choose larger buckets"));
  EXPECT_TRUE(fails_with([] { uniform_edges(-4, 9); }, "found -4 and 9"));
}

TEST(PositionBuckets, RefusesBadEdges) {
  EXPECT_TRUE(fails_with([] { PositionBuckets({}); }, "expected at least two, found 0"));
  EXPECT_TRUE(fails_with([] { PositionBuckets(Edges{0}); }, "expected at least two, found 1"));
  EXPECT_TRUE(fails_with([] { PositionBuckets({1, 2}); }, "the first to be 0, found 1"));
  EXPECT_TRUE(fails_with([] { PositionBuckets({0, 2, 2}); }, "ascending positions, found 2 after"));
}

TEST(PositionBuckets, PutsEachPositionIntoItsBucket) {
  PositionBuckets buckets({0, 2, 6, 7});
  for (int64_t position = 0; position < 7; ++position) {
    buckets.add(position, -1.0 - static_cast<double>(position));
  }
  EXPECT_EQ(buckets.overall().num_tokens, 0);  // the document is still open
  buckets.end_document();
  ASSERT_EQ(buckets.num_buckets(), 3);
  EXPECT_DOUBLE_EQ(buckets.bucket(0).mean_nll, 1.5);
  EXPECT_DOUBLE_EQ(buckets.bucket(1).mean_nll, 4.5);
  EXPECT_DOUBLE_EQ(buckets.bucket(2).mean_nll, 7);
  EXPECT_DOUBLE_EQ(buckets.bucket(2).perplexity, std::exp(7.0));
  EXPECT_EQ(buckets.bucket(1).begin, 2);
  EXPECT_EQ(buckets.bucket(1).end, 6);
  EXPECT_EQ(buckets.bucket(1).num_tokens, 4);
  EXPECT_DOUBLE_EQ(buckets.overall().mean_nll, 4);
  EXPECT_EQ(buckets.overall().begin, 0);
  EXPECT_EQ(buckets.overall().end, 7);
  EXPECT_FALSE(buckets.overall().mean_nll_interval.has_value());  // one document
}

TEST(PositionBuckets, RefusesBadTokens) {
  PositionBuckets buckets({0, 4});
  EXPECT_TRUE(fails_with([&] { buckets.add(4, -1.0); }, "position: expected 0 to 3, found 4"));
  EXPECT_TRUE(fails_with([&] { buckets.add(-1, -1.0); }, "found -1"));
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(
      fails_with([&] { buckets.add(2, std::nan("")); }, "at position 2: expected a finite"));
  EXPECT_TRUE(fails_with([&] { buckets.add(2, -infinity); }, "found -inf"));
  EXPECT_TRUE(fails_with([&] { buckets.add(2, 0.5); }, "found 0.5"));
  EXPECT_TRUE(fails_with([&] { buckets.bucket(1); }, "bucket: expected 0 to 0, found 1"));
  buckets.end_document();
  EXPECT_EQ(buckets.num_documents(), 0);  // nothing of them was kept
}

TEST(PositionBuckets, IntervalIsThatOfTheDocumentsMeansWhenTheyFillTheBucket) {
  const std::vector<double> means = {2.0, 2.5, 3.5, 2.25};
  PositionBuckets buckets({0, 8});
  for (const double mean : means) {
    // Tokens of one document vary by far more than its mean; that must not count.
    for (int64_t position = 0; position < 8; ++position) {
      buckets.add(position, -mean + (position % 2 == 0 ? 1.5 : -1.5));
    }
    buckets.end_document();
  }
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / 4;
  double squares = 0;
  for (const double m : means) squares += (m - mean) * (m - mean);
  const double half = 1.959963984540054 * std::sqrt(squares / 3) / std::sqrt(4.0);
  const BucketSummary summary = buckets.bucket(0);
  EXPECT_EQ(summary.num_documents, 4);
  EXPECT_NEAR(summary.mean_nll, mean, 1e-12);
  EXPECT_NEAR(summary.mean_nll_interval->low, mean - half, 1e-12);
  EXPECT_NEAR(summary.mean_nll_interval->high, mean + half, 1e-12);
  EXPECT_NEAR(summary.perplexity_interval->high, std::exp(mean + half), 1e-10);
}

TEST(PositionBuckets, EqualDocumentsHaveAnIntervalOfNoWidth) {
  PositionBuckets buckets({0, 3});
  for (int i = 0; i < 5; ++i) {
    buckets.add(0, std::vector<float>{-0.1f, -0.2f, -0.7f});
    buckets.end_document();
  }
  const Interval interval = *buckets.overall().mean_nll_interval;
  EXPECT_NEAR(interval.high - interval.low, 0, 1e-12);
}

TEST(PositionBuckets, ShortDocumentsCountInTheBucketsTheyReach) {
  PositionBuckets buckets({0, 4, 8});
  buckets.add(0, std::vector<float>(8, -2.0f));
  buckets.end_document();
  buckets.add(0, std::vector<float>(5, -1.0f));
  buckets.end_document();
  buckets.end_document();  // no tokens since: no document
  EXPECT_EQ(buckets.num_documents(), 2);
  EXPECT_EQ(buckets.bucket(0).num_documents, 2);
  EXPECT_EQ(buckets.bucket(1).num_tokens, 5);
  EXPECT_DOUBLE_EQ(buckets.bucket(1).mean_nll, (4 * 2.0 + 1) / 5);
}

TEST(PositionBuckets, MergeEqualsOneObjectThatSawEverything) {
  const Edges edges = doubling_edges(2, 16);
  PositionBuckets whole(edges), left(edges), right(edges);
  for (int document = 0; document < 6; ++document) {
    for (int64_t position = 0; position < 16 - document; ++position) {
      const double logprob = -0.1 * static_cast<double>((document * 7 + position * 3) % 11);
      whole.add(position, logprob);
      (document < 2 ? left : right).add(position, logprob);
    }
    whole.end_document();
    (document < 2 ? left : right).end_document();
  }
  left.merge(right);
  for (int64_t i = 0; i < whole.num_buckets(); ++i) {
    EXPECT_EQ(left.bucket(i).num_tokens, whole.bucket(i).num_tokens);
    EXPECT_EQ(left.bucket(i).num_documents, whole.bucket(i).num_documents);
    EXPECT_DOUBLE_EQ(left.bucket(i).mean_nll, whole.bucket(i).mean_nll);
    EXPECT_DOUBLE_EQ(left.bucket(i).mean_nll_interval->low, whole.bucket(i).mean_nll_interval->low);
  }
  const int64_t num_documents = whole.num_documents();
  whole.merge(whole);
  EXPECT_EQ(whole.num_documents(), 2 * num_documents);
}

TEST(PositionBuckets, MergeRefusesOtherEdgesAndOpenDocuments) {
  PositionBuckets a({0, 4}), b({0, 5}), c({0, 4});
  EXPECT_TRUE(fails_with([&] { a.merge(b); }, "expected the same edges"));
  c.add(0, -1.0);
  EXPECT_TRUE(fails_with([&] { a.merge(c); }, "still open"));
  EXPECT_TRUE(fails_with([&] { c.merge(a); }, "still open"));
}

}  // namespace
}  // namespace longgen
