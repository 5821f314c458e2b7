#include "longgen/train/log/event_file.h"

#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <map>

#include "longgen/train/log/crc32c.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"

namespace longgen {
namespace {

TEST(Crc32cTest, MatchesTheVectorsOfRfc3720) {
  std::string ascending, descending;
  for (int i = 0; i < 32; ++i) {
    ascending += static_cast<char>(i);
    descending += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(ascending), 0x46DD794Eu);
  EXPECT_EQ(crc32c(descending), 0x113FDB5Cu);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

// A reader that shares nothing with the writer: the checksum bit by bit, fields by number.

uint32_t slow_crc32c(const std::string& bytes) {
  uint64_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool feedback = ((crc & 1) != 0) != ((static_cast<unsigned char>(c) >> bit & 1) != 0);
      crc = crc / 2;
      if (feedback) crc ^= 0x82F63B78;
    }
  }
  return static_cast<uint32_t>(crc ^ 0xFFFFFFFF);
}

uint32_t slow_masked(const std::string& bytes) {
  const uint64_t crc = slow_crc32c(bytes);
  return static_cast<uint32_t>(((crc / 32768) | (crc * 131072)) + 0xA282EAD8);
}

template <typename T>
T number_at(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.substr(at, sizeof(T)).data(), sizeof(T));
  return value;
}

/// The data of all whole records; checks every checksum.
std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    EXPECT_EQ(number_at<uint32_t>(file, at + 8), slow_masked(file.substr(at, 8)));
    EXPECT_LE(at + 16 + length, file.size());
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(number_at<uint32_t>(file, at + 12 + length), slow_masked(records.back()));
    at += 16 + length;
  }
  return records;
}

using Message = std::multimap<int, std::string>;

uint64_t varint(const std::string& bytes, size_t& at) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.at(at++));
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

/// Fields by number; varints and fixed numbers as 8 or 4 bytes.
Message parse(const std::string& bytes) {
  Message message;
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t key = varint(bytes, at);
    size_t size = key % 8 == 1 ? 8 : 4;
    if (key % 8 == 0) {
      const uint64_t value = varint(bytes, at);
      message.emplace(key / 8, std::string(reinterpret_cast<const char*>(&value), 8));
      continue;
    }
    if (key % 8 == 2) size = varint(bytes, at);
    EXPECT_LE(at + size, bytes.size());
    message.emplace(key / 8, bytes.substr(at, size));
    at += size;
  }
  return message;
}

const std::string& only(const Message& message, int field) {
  EXPECT_EQ(message.count(field), 1u) << "field " << field;
  return message.find(field)->second;
}

class EventFileTest : public FolderTest {
 protected:
  std::vector<Message> events(const EventFile& file) {
    std::vector<Message> events;
    for (const std::string& record : records_of(read_file(file.path()))) {
      events.push_back(parse(record));
    }
    return events;
  }
};

TEST_F(EventFileTest, AnIndependentReaderFindsEveryScalar) {
  const double before = static_cast<double>(std::time(nullptr));
  EventFile file(dir_ / "run" / "tensorboard");
  file.write(1, {{"train/loss", 2.5}, {"train/größe", -1e-3}});
  file.write(int64_t{1} << 40, {{std::string(300, 'x'), 7}});
  const auto all = events(file);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(only(all[0], 3), "brain.Event:2");
  for (const Message& event : all) {
    const auto time = number_at<double>(only(event, 1), 0);
    EXPECT_GE(time, before - 1);
    EXPECT_LE(time, static_cast<double>(std::time(nullptr)) + 1);
    EXPECT_EQ(event.size(), 3u);
  }
  EXPECT_EQ(number_at<int64_t>(only(all[1], 2), 0), 1);
  EXPECT_EQ(number_at<int64_t>(only(all[2], 2), 0), int64_t{1} << 40);
  std::map<std::string, float> values;
  for (const auto& [field, bytes] : parse(only(all[1], 5))) {
    EXPECT_EQ(field, 1);
    const Message value = parse(bytes);
    values[only(value, 1)] = number_at<float>(only(value, 2), 0);
  }
  EXPECT_EQ(values, (std::map<std::string, float>{{"train/loss", 2.5F}, {"train/größe", -1e-3F}}));
  const Message longest = parse(only(parse(only(all[2], 5)), 1));
  EXPECT_EQ(only(longest, 1), std::string(300, 'x'));
  EXPECT_EQ(number_at<float>(only(longest, 2), 0), 7.0F);
}

TEST_F(EventFileTest, NumbersThatAreNotFiniteOrTooLargeStayVisible) {
  EventFile file(dir_);
  const double infinity = std::numeric_limits<double>::infinity();
  file.write(1, {{"a", std::nan("")}, {"b", 1e300}, {"c", -1e300}, {"d", infinity}, {"e", 3e38}});
  std::map<std::string, float> values;
  for (const auto& field : parse(only(events(file).at(1), 5))) {
    const Message value = parse(field.second);
    values[only(value, 1)] = number_at<float>(only(value, 2), 0);
  }
  EXPECT_TRUE(std::isnan(values["a"]));
  EXPECT_EQ(values["b"], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values["c"], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(values["d"], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values["e"], 3e38F);
}

TEST_F(EventFileTest, AResumedRunAsksReadersToForgetLaterSteps) {
  EventFile file(dir_, 12);
  const auto all = events(file);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(number_at<int64_t>(only(all[1], 2), 0), 13);
  EXPECT_EQ(number_at<int64_t>(only(parse(only(all[1], 7)), 1), 0), 1) << "SessionLog::START";
}

TEST_F(EventFileTest, EveryStartHasAFileOfItsOwnWithTimeAndHost) {
  EventFile first(dir_), second(dir_), third(dir_);
  EXPECT_NE(first.path(), second.path());
  EXPECT_NE(second.path(), third.path());
  const std::string name = first.path().filename().string();
  EXPECT_TRUE(name.starts_with("events.out.tfevents.")) << name;
  EXPECT_TRUE(name.ends_with(".longgen")) << name;
  const int64_t time = std::stoll(name.substr(20));
  EXPECT_NEAR(static_cast<double>(time), static_cast<double>(std::time(nullptr)), 10);
  EXPECT_GT(name.size(), std::string("events.out.tfevents.1234567890..longgen").size())
      << "no host";
}

TEST_F(EventFileTest, ErrorsSayWhatIsWrong) {
  EventFile file(dir_);
  const auto before = read_file(file.path()).size();
  EXPECT_EQ(error_of([&] {
              file.write(1, {{"", 1}});
            }),
            "[event file] expected a tag, found an empty one.");
  EXPECT_EQ(read_file(file.path()).size(), before);
  put("plain", "");
  EXPECT_TRUE(
      contains(error_of([&] { EventFile(dir_ / "plain" / "sub"); }), "cannot be created: "));
}

}  // namespace
}  // namespace longgen
