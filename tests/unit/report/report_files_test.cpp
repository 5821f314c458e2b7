#include "longgen/report/report_files.h"

#include <cmath>
#include <limits>

#include "longgen/report/table.h"
#include "test_support.h"

namespace longgen {
namespace {

TEST(Csv, QuotesWhatNeedsIt) {
  const Table table{{"a", "b"},
                    {{"plain", "with, comma"}, {"\"", "line\nbreak"}, {" edge", ""}, {"\r", "'"}}};
  EXPECT_EQ(to_csv(table),
            "a,b\nplain,\"with, comma\"\n\"\"\"\",\"line\nbreak\"\n\" edge\",\n\"\r\",'\n");
  EXPECT_TRUE(fails_with(
      [] {
        to_csv({{"a", "b"}, {{"1"}}});
      },
      "rows of 2 fields, found one of 1"));
}

TEST(Labels, AreAsPeopleWriteThem) {
  EXPECT_EQ(token_label(8192), "8K");
  EXPECT_EQ(token_label(131072), "128K");
  EXPECT_EQ(token_label(1 << 20), "1M");
  EXPECT_EQ(token_label(3 << 19), "1536K");
  EXPECT_EQ(token_label(10000), "10,000");
  EXPECT_EQ(token_label(0), "0");
  EXPECT_EQ(format_number(0.125), "0.125");
  EXPECT_EQ(format_number(std::numeric_limits<double>::infinity()), "");
  EXPECT_TRUE(json_number(std::nan("")).is_null());
}

}  // namespace
}  // namespace longgen
