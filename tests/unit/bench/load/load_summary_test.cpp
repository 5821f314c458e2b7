#include "longgen/bench/load/load_summary.h"

#include <gtest/gtest.h>

#include "longgen/bench/load/load_report.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

/// A whole reply: its first text after 0.5 s, then one every 0.1 s, an event each.
RequestRecord reply(double begun, int64_t num_tokens) {
  RequestRecord record{.due = begun - 0.01, .begun = begun, .prompt_tokens = 8};
  record.reply_tokens = num_tokens;
  for (int64_t i = 0; i < num_tokens; ++i) {
    record.arrivals.push_back({begun + 0.5 + 0.1 * static_cast<double>(i), 1, 1});
  }
  record.ended = record.arrivals.back().seconds + 0.05;
  record.status = 200;
  record.is_over = true;
  return record;
}

TEST(DistributionTest, QuantilesAreMeasuredValues) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Distribution all = distribution_of(values);
  EXPECT_EQ(all.p50, 50);
  EXPECT_EQ(all.p90, 90);
  EXPECT_EQ(all.p99, 99);
  EXPECT_EQ(all.worst, 100);
  EXPECT_EQ(all.mean, 50.5);
  const Distribution two = distribution_of({3, 1});
  EXPECT_EQ(two.p50, 1);
  EXPECT_EQ(two.p90, 3);
  EXPECT_EQ(distribution_of({}).count, 0);
}

TEST(LoadSummaryTest, TimesOfWholeRepliesAndTokensOfAll) {
  LoadResult result{.records = {reply(1, 11), reply(2, 1), reply(3, 5)}, .seconds = 4};
  result.cpu_seconds = 1;
  RequestRecord& torn = result.records[2];
  torn.error = "torn answer";
  torn.message = "why";
  const LoadSummary summary = summarize(result, std::nullopt);
  EXPECT_EQ(summary.num_sent, 3);
  EXPECT_EQ(summary.num_whole, 2);
  EXPECT_EQ(summary.errors.at("torn answer").count, 1);
  EXPECT_EQ(summary.errors.at("torn answer").message, "why");
  EXPECT_EQ(summary.gap.count, 10);
  EXPECT_NEAR(summary.gap.p99, 0.1, 1e-12);
  EXPECT_NEAR(summary.first_token.worst, 0.5, 1e-12);
  EXPECT_EQ(summary.token.count, 1) << "a reply of one token has no further one";
  EXPECT_NEAR(summary.token.p50, 0.1, 1e-12);
  EXPECT_NEAR(summary.answer.worst, 1.55, 1e-12);
  EXPECT_NEAR(summary.late.p50, 0.01, 1e-12);
  EXPECT_EQ(summary.reply_tokens, 17);
  EXPECT_EQ(summary.prompt_tokens, 24);
  EXPECT_EQ(summary.busy, 0.25);
  EXPECT_FALSE(summary.cached_tokens);
}

TEST(LoadSummaryTest, EventsOfSeveralTokensAreCountedByUsage) {
  RequestRecord record = reply(0, 3);
  record.reply_tokens = 12;
  record.arrivals = {{0.5, 1, 4}, {0.9, 1, 4}, {1.3, 2, 4}};
  record.usage = {.prompt = 9, .completion = 12, .cached = 5};
  const LoadSummary summary = summarize({.records = {record}, .seconds = 1}, std::nullopt);
  EXPECT_EQ(summary.num_events, 4);
  EXPECT_EQ(summary.reply_tokens, 12);
  EXPECT_EQ(summary.num_wide_events, 3);
  EXPECT_NEAR(summary.token.p50, 0.1, 1e-12) << "0.8 s for the 8 tokens after the first four";
  EXPECT_EQ(summary.gap.count, 3);
  EXPECT_EQ(summary.gap.p50, 0.4);
  EXPECT_EQ(summary.cached_tokens, 5);
  EXPECT_EQ(summary.num_other_prompts, 1);
  EXPECT_EQ(summary.num_short_replies, 0);
}

TEST(GoalTest, ReplyAndLimits) {
  const RequestRecord record = reply(0, 11);
  EXPECT_TRUE(Goal::parse("ttft=500ms,tpot=101ms,e2e=2s").is_met_by(record));
  EXPECT_FALSE(Goal::parse("ttft=499ms").is_met_by(record));
  EXPECT_FALSE(Goal::parse("tpot=99ms").is_met_by(record));
  EXPECT_FALSE(Goal::parse("e2e=1.5s").is_met_by(record));
  EXPECT_TRUE(Goal::parse("tpot=1ms").is_met_by(reply(0, 1)));
  RequestRecord failed = record;
  failed.error = "timeout";
  EXPECT_FALSE(Goal::parse("ttft=500ms").is_met_by(failed));
}

TEST(GoalTest, WhatIsNoGoalIsRefused) {
  const auto refusal = [](const char* text) { return error_of([&] { Goal::parse(text); }); };
  EXPECT_EQ(refusal("ttft=2"), "--goal: \"ttft=2\": expected a time such as 500ms or 2s.");
  EXPECT_EQ(refusal("ttft=1s,ttft=2s"), "--goal: ttft stands twice.");
  for (const char* text : {"", "ttft", "ttft=", "ttft=-1s", "ttft=0s", "ttft=nans", "ttft=infs",
                           "itl=1s", "ttft=1s,", "ttft=1m"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

TEST(LoadReportTest, EveryRequestIsARowAndTextsOfOthersStayTexts) {
  LoadReport report{.url = "http://a", .load = "2 requests"};
  report.server.model = "a<b>";
  LoadResult result{.records = {reply(1, 4), reply(2, 2)}, .seconds = 2};
  result.records[1].error = "status 429";
  result.records[1].message = "<script>";
  report.summary = summarize(result, std::nullopt);
  report.records = result.records;
  EXPECT_EQ(to_table(report).rows.size(), 2u);
  EXPECT_EQ(to_table(report).rows[1].back(), "status 429");
  const std::string html = html_page(load_page(report));
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(html.find("a&lt;b&gt;"), std::string::npos);
  EXPECT_NE(to_text(report).find("status 429: 1 request, the first: <script>"), std::string::npos);
}

}  // namespace
}  // namespace longgen
