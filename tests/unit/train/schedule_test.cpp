#include "longgen/train/recipe/schedule.h"

#include <limits>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

TEST(ScheduleTest, WarmUpRisesInEqualPartsFromPeakOverSteps) {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::constant}) {
    const Schedule schedule{kind, 0.5, 0.1, 4, 100};
    EXPECT_EQ(schedule.learning_rate_at(1), 0.125);
    EXPECT_EQ(schedule.learning_rate_at(2), 0.25);
    EXPECT_EQ(schedule.learning_rate_at(3), 0.375);
    EXPECT_EQ(schedule.learning_rate_at(4), 0.5);
  }
}

TEST(ScheduleTest, CosineGoesThroughItsKnownPoints) {
  const Schedule schedule{ScheduleKind::cosine, 1.0, 0.25, 2, 14};
  // p = 1/3, 1/2, 2/3, 1: cos(pi p) = 1/2, 0, -1/2, -1.
  EXPECT_DOUBLE_EQ(schedule.learning_rate_at(6), 0.25 + 0.75 * 0.75);
  EXPECT_DOUBLE_EQ(schedule.learning_rate_at(8), 0.25 + 0.75 * 0.5);
  EXPECT_DOUBLE_EQ(schedule.learning_rate_at(10), 0.25 + 0.75 * 0.25);
  EXPECT_EQ(schedule.learning_rate_at(14), 0.25);
  // The first step after the warm-up has begun to fall.
  EXPECT_LT(schedule.learning_rate_at(3), schedule.learning_rate_at(2));
}

TEST(ScheduleTest, LinearIsAStraightLine) {
  const Schedule schedule{ScheduleKind::linear, 0.5, 0.5, 0, 4};
  EXPECT_EQ(schedule.learning_rate_at(1), 0.4375);
  EXPECT_EQ(schedule.learning_rate_at(2), 0.375);
  EXPECT_EQ(schedule.learning_rate_at(3), 0.3125);
  EXPECT_EQ(schedule.learning_rate_at(4), 0.25);
}

TEST(ScheduleTest, ConstantStaysAtThePeak) {
  const Schedule schedule{ScheduleKind::constant, 3e-4, 0.1, 1, 10};
  for (int64_t step = 1; step <= 12; ++step) EXPECT_EQ(schedule.learning_rate_at(step), 3e-4);
}

TEST(ScheduleTest, TheLastStepHasTheFinalShareAndLaterOnesKeepIt) {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear}) {
    for (const int64_t warmup : {int64_t{0}, int64_t{1}, int64_t{9}}) {
      const Schedule schedule{kind, 0.5, 0.125, warmup, 10};
      EXPECT_EQ(schedule.learning_rate_at(10), 0.0625) << warmup;
      EXPECT_EQ(schedule.learning_rate_at(11), 0.0625) << warmup;
      EXPECT_EQ(schedule.learning_rate_at(std::numeric_limits<int64_t>::max()), 0.0625) << warmup;
    }
    EXPECT_EQ((Schedule{kind, 0.5, 0, 0, 1}.learning_rate_at(1)), 0);
  }
}

TEST(ScheduleTest, ARunOfOnlyWarmUpNeverDividesByZero) {
  const Schedule schedule{ScheduleKind::cosine, 0.5, 0.1, 10, 10};
  EXPECT_EQ(schedule.learning_rate_at(10), 0.5);
  EXPECT_EQ(schedule.learning_rate_at(11), 0.5);
}

TEST(ScheduleTest, StepsCountFromOne) {
  const Schedule schedule{ScheduleKind::cosine, 0.5, 0.1, 0, 10};
  EXPECT_EQ(error_of([&] { schedule.learning_rate_at(0); }),
            "[schedule] steps count from 1, found step 0.");
}

}  // namespace
}  // namespace longgen
