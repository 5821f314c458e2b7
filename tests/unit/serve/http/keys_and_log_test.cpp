// keys_and_log_test.cpp: files of API keys, lines of the access log.
#include <sys/resource.h>

#include <csignal>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/serve/http/access_log.h"
#include "longgen/serve/http/api_keys.h"
#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tests/unit/serve/http/client.h"

namespace longgen::http {
namespace {

class KeysAndLog : public FolderTest {};

TEST_F(KeysAndLog, ReadsKeysWithAndWithoutNames) {
  put("keys", "# who may ask\n\nalice sk-1\r\n  sk-2\n\tbob\tsk-3  \nalice sk-4");
  const ApiKeys keys = ApiKeys::read(dir_ / "keys");
  EXPECT_EQ(keys.name_of("sk-1"), "alice");
  EXPECT_EQ(keys.name_of("sk-2"), "key2");
  EXPECT_EQ(keys.name_of("sk-3"), "bob");
  EXPECT_EQ(keys.name_of("sk-4"), "alice");
  for (const char* other : {"", "sk-", "sk-11", "alice", "# who may ask", "SK-1"}) {
    EXPECT_EQ(keys.name_of(other), std::nullopt) << other;
  }
}

TEST_F(KeysAndLog, RefusesFilesOfOtherKinds) {
  const auto error = [this](const std::string& text) {
    put("keys", text);
    return error_of([this] { ApiKeys::read(dir_ / "keys"); });
  };
  EXPECT_TRUE(contains(error("a b c"),
                       "keys: line 1: expected a key, or a name and a key, found 3 "
                       "words."));
  EXPECT_TRUE(
      contains(error("\na sk-1\nb sk-1"), "keys: line 3: this key stands in a line before."));
  EXPECT_FALSE(contains(error("\na sk-1\nb sk-1"), "sk-1"));
  EXPECT_TRUE(contains(error("\xC3\xA9"), "keys: line 1: expected visible ASCII characters only."));
  EXPECT_TRUE(contains(error("# none\n"),
                       "keys: expected API keys, one a line, as \"KEY\" or "
                       "\"NAME KEY\"; found none."));
  EXPECT_ERROR(ApiKeys::read(dir_ / "missing"), "missing");
}

TEST_F(KeysAndLog, WritesALineARequest) {
  std::mutex mutex;
  std::vector<AccessRecord> records;
  ServerOptions options = any_port();
  options.keys.add("alice", "sk-1");
  options.access_log = [&](const AccessRecord& record) {
    const std::lock_guard lock(mutex);
    records.push_back(record);
  };
  Desk desk;
  Server server(options, [&](HttpRequest request, std::shared_ptr<Exchange> exchange) {
    exchange->note("prompt_tokens", 12);
    desk.handler()(std::move(request), std::move(exchange));
  });
  const std::string key = "Authorization: Bearer sk-1\r\n";
  Client(server.port()).ask(post("/echo?secret", "secret", key + "traceparent: 00-1\r\n"));
  Client(server.port()).ask(get("/a"));
  Client(server.port()).ask("garbage\r\n\r\n");
  Client stream(server.port());
  stream.send(get("/b", key));
  const auto exchange = desk.next();
  exchange->begin_stream();
  exchange->send("data: 1\n\n");
  stream.read_to("data: 1");
  stream.close();
  EXPECT_TRUE(eventually([&] { return exchange->is_gone(); }));
  Client silent(server.port());
  silent.send(get("/c", key));
  desk.next();
  server.stop(0);
  ASSERT_EQ(records.size(), 5u);
  const Json first = parse_json(access_line(records[0]), "line");
  EXPECT_EQ(first["key"], "alice");
  EXPECT_EQ(first["method"], "POST");
  EXPECT_EQ(first["path"], "/echo");
  EXPECT_EQ(first["status"], 200);
  EXPECT_EQ(first["bytes"], 24);
  EXPECT_EQ(first["traceparent"], "00-1");
  EXPECT_EQ(first["prompt_tokens"], 12);
  EXPECT_EQ(first.count("gone"), 0u);
  EXPECT_EQ(first["time"].get<std::string>().size(), 24u);
  EXPECT_FALSE(contains(access_line(records[0]), "secret"));
  EXPECT_EQ(records[1].status, 401);
  EXPECT_EQ(records[2].status, 400);
  EXPECT_EQ(records[3].status, 200);
  EXPECT_TRUE(records[3].is_gone);
  EXPECT_EQ(records[3].bytes, 9);
  EXPECT_GT(records[3].seconds, 0);
}

TEST_F(KeysAndLog, GoesOnInANewFileWhereTheOldOneWasMovedOrEmptied) {
  const fs::path path = put("access.jsonl", "{}\n");
  AccessLogFile log(path);
  const std::string line = access_line({});
  const auto write = [&log] { log.write({}); };
  write();
  fs::rename(path, dir_ / "old");
  write();
  EXPECT_EQ(read_file(dir_ / "old"), "{}\n" + line);
  EXPECT_EQ(read_file(path), line);
  fs::resize_file(path, 0);
  write();
  write();
  EXPECT_EQ(read_file(path), line + line);
  fs::remove(path);
  write();
  EXPECT_EQ(read_file(path), line);
}

TEST_F(KeysAndLog, LosesLinesAndNotTheServerOnAFullDisk) {
  AccessLogFile log(dir_ / "access.jsonl");
  AccessRecord record;
  record.path = std::string(1000, '\x01');
  record.status = 200;
  log.write(record);
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit full = before;
  full.rlim_cur = 2000;  // as a full disk, but for the signal
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &full);
  const std::string lost = stderr_of([&] {
    for (int i = 0; i < 20; ++i) log.write(record);
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(contains(lost, "warning: access log: "));
  EXPECT_EQ(lost.find("warning"), lost.rfind("warning")) << lost;
  EXPECT_TRUE(
      contains(stderr_of([&] { log.write(record); }), "warning: access log: written again; "));
  const std::string text = read_file(dir_ / "access.jsonl");
  EXPECT_EQ(text.back(), '\n');
  EXPECT_LT(text.find('\n'), 2000u);
}

}  // namespace
}  // namespace longgen::http
