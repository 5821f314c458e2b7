// kv_cache/resident_rows.h: where the page tables of sequences lie that take one token a step, and
// what of them changes from step to step. Decides only, so that it is tested without a GPU.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "longgen/kv_cache/pass_rows.h"
#include "longgen/kv_cache/pass_tables.h"

namespace longgen {

/// What a step writes to the tables, in units of 8 bytes: an entry of a row, or two numbers.
struct TableUpload {
  std::vector<TablePiece> pieces;
  std::vector<PassBlock> units;
};

/// The tables are one range of memory, counted in units. It begins with the numbers of the step
/// (sequences, pages that are written, starts). Then come the rows: one for each sequence, group
/// and KV head, which lists blocks as PassTables does and stays from step to step, also where the
/// sequence has no part in some. A row has room for a quarter more tokens than there were when it
/// was placed; when they are there, the sequence's rows go to a larger place.
///
/// What changes in a row is its end. Blocks that committed tokens have filled, and that have left
/// the window, either live for ever or are gone for good: they are listed once.
class ResidentRows {
 public:
  /// Steps have up to max_rows rows of tokens. The layout must outlive it.
  ResidentRows(const KvLayout& layout, int64_t max_rows);

  /// Plans the tables of a step over parts that have reserved one token each, or none: row n is
  /// part n's. Rows of nobody (of parts without a token, and behind the last part up to num_rows)
  /// have no keys and no page, and stand at position 0. Parts may be other ones in every step.
  /// upload() has to be copied to where the tables are before the next update().
  void update(std::span<const PassPart> parts, int64_t num_rows);
  const TableUpload& upload() const { return upload_; }
  /// The numbers of the step, on the CPU; PassTables::at() with the range of memory gives the
  /// tables.
  const PassTables& tables() const { return tables_; }
  /// How many units of the range are taken.
  int64_t end() const { return end_; }
  static constexpr int64_t kMostUnits = int64_t{1} << 30;  // row_begins and starts add up

  /// Gives the place of a sequence to others; nothing where it has none. To be called before the
  /// cache goes: its address may be that of another one later.
  void forget(const SequenceCache& cache);
  /// Forgets all of them, and what the memory holds: the next step uploads everything.
  void clear();

 private:
  struct Row {
    int64_t begin = 0;           // its unit
    int32_t page = kNoPage;      // of the last block
    int32_t count = 0;           // entries
    int32_t settled = 0;         // those that stay, from the first one on,
    int64_t settled_blocks = 0;  // which tell of so many blocks
  };
  struct Slot {
    int64_t identity = 0, page_changes = 0;  // of the cache, when its rows were listed
    int64_t begin = 0, num_units = 0, max_tokens = 0;
    std::vector<Row> rows;  // of each table
  };
  /// Which tables a row of the step shows.
  struct Member {
    const Slot* slot;
    int64_t page_changes;
    bool operator==(const Member&) const = default;
  };

  int64_t row_units(int64_t table, int64_t num_tokens) const;
  void place(Slot& slot, int64_t num_tokens);
  const Slot* listed(const PassPart& part);
  void list_row(const SequenceCache& cache, int64_t table, Row& row);
  void copy_to(int64_t place, size_t first_unit);
  void set_num_rows(int64_t num_rows);
  void fill_positions(std::span<const PassPart> parts);
  void fill_pages();

  const KvLayout& layout_;
  int64_t max_rows_;
  PassTables tables_;
  at::Tensor numbers_;  // of the step, on the CPU
  std::map<const SequenceCache*, Slot> slots_;
  std::map<int64_t, std::vector<int64_t>> free_;  // places by their units
  int64_t first_ = 0, end_ = 0;                   // of the rows
  std::vector<Member> members_;  // of the last step, by row; none: the numbers are to be made anew
  TableUpload upload_;
};

}  // namespace longgen
