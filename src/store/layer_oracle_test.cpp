// SPDX-License-Identifier: Apache-2.0
// libarchive as the oracle: a tar full of every kind of entry gives, in both forms of a layer, what
// libarchive extracts from it, to the last attribute. The tars are GNU tar's and libarchive's own,
// in every dialect that people push.
#include "store/layer_testing.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <clocale>
#include <memory>

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace berth::store {
namespace {

using testing::full_listing;
using testing::run_shell;

struct FreeArchive {
    void operator()(archive* handle) const { archive_free(handle); }
};

using ArchivePointer = std::unique_ptr<archive, FreeArchive>;

// Names that no locale can convert are bytes to both.
void expect_done(archive* handle, int status) {
    EXPECT_GE(status, ARCHIVE_WARN) << archive_error_string(handle);
}

void copy_data(archive* in, archive* out) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    int status = ARCHIVE_OK;
    while ((status = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK) {
        ASSERT_GE(archive_write_data_block(out, block, size, offset), ARCHIVE_WARN)
            << archive_error_string(out);
    }
    EXPECT_EQ(status, ARCHIVE_EOF) << archive_error_string(in);
}

// Below folder, as root does it.
void extract_with_oracle(const std::string& tar, const std::string& folder) {
    ArchivePointer in(archive_read_new());
    archive_read_support_format_tar(in.get());
    ASSERT_EQ(archive_read_open_memory(in.get(), tar.data(), tar.size()), ARCHIVE_OK);
    ArchivePointer out(archive_write_disk_new());
    archive_write_disk_set_options(
        out.get(),
        ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
            ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_ACL | ARCHIVE_EXTRACT_SPARSE);
    archive_entry* entry = nullptr;
    int status = ARCHIVE_OK;
    while ((status = archive_read_next_header(in.get(), &entry)) != ARCHIVE_EOF) {
        ASSERT_NO_FATAL_FAILURE(expect_done(in.get(), status));
        archive_entry_copy_pathname(entry, (folder + "/" + archive_entry_pathname(entry)).c_str());
        if (const char* target = archive_entry_hardlink(entry)) {
            archive_entry_copy_hardlink(entry, (folder + "/" + target).c_str());
        }
        expect_done(out.get(), archive_write_header(out.get(), entry));
        if (archive_entry_size(entry) > 0) {
            ASSERT_NO_FATAL_FAILURE(copy_data(in.get(), out.get()));
        }
        expect_done(out.get(), archive_write_finish_entry(out.get()));
    }
    expect_done(out.get(), archive_write_close(out.get()));
}

// An archive's writer takes bytes alone: holes are zeros.
void copy_plain(archive* in, archive* out) {
    const void* block = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    la_int64_t written = 0;
    while (archive_read_data_block(in, &block, &size, &offset) == ARCHIVE_OK) {
        const std::string zeros(static_cast<std::size_t>(offset - written), '\0');
        EXPECT_EQ(archive_write_data(out, zeros.data(), zeros.size()), offset - written);
        EXPECT_EQ(archive_write_data(out, block, size), static_cast<la_ssize_t>(size));
        written = offset + static_cast<la_int64_t>(size);
    }
}

la_ssize_t append(archive*, void* data, const void* bytes, std::size_t size) {
    static_cast<std::string*>(data)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
}

// A folder as libarchive packs it.
std::string pack_with_oracle(const std::string& folder, int (*set_format)(archive*)) {
    std::string bytes;
    ArchivePointer disk(archive_read_disk_new());
    archive_read_disk_set_symlink_physical(disk.get());
    EXPECT_EQ(archive_read_disk_open(disk.get(), folder.c_str()), ARCHIVE_OK);
    ArchivePointer out(archive_write_new());
    EXPECT_EQ(set_format(out.get()), ARCHIVE_OK);
    EXPECT_EQ(archive_write_open(out.get(), &bytes, nullptr, append, nullptr), ARCHIVE_OK);
    std::unique_ptr<archive_entry_linkresolver, void (*)(archive_entry_linkresolver*)> links(
        archive_entry_linkresolver_new(), archive_entry_linkresolver_free);
    archive_entry_linkresolver_set_strategy(links.get(), archive_format(out.get()));
    while (true) {
        archive_entry* entry = archive_entry_new();
        const int status = archive_read_next_header2(disk.get(), entry);
        if (status == ARCHIVE_EOF) {
            archive_entry_free(entry);
            break;
        }
        expect_done(disk.get(), status);
        archive_read_disk_descend(disk.get());
        const std::string path = archive_entry_pathname(entry);
        archive_entry_copy_pathname(entry, ("." + path.substr(folder.size())).c_str());
        archive_entry* later = nullptr;
        archive_entry_linkify(links.get(), &entry, &later);
        expect_done(out.get(), archive_write_header(out.get(), entry));
        if (archive_entry_size(entry) > 0) {
            copy_plain(disk.get(), out.get());
        }
        archive_entry_free(entry);
    }
    EXPECT_EQ(archive_write_close(out.get()), ARCHIVE_OK);
    return bytes;
}

class LayerOracle : public testing::LayerFormsTest {
  protected:
    void SetUp() override {
        LayerFormsTest::SetUp();
        if (IsSkipped()) {
            return;
        }
        // libarchive converts the names of pax headers to the locale's.
        before_ = setlocale(LC_CTYPE, nullptr);
        ASSERT_NE(setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
    }

    void TearDown() override {
        setlocale(LC_CTYPE, before_.c_str());
        LayerFormsTest::TearDown();
    }

    std::string before_ = "C";

    // One of each, and what has made trouble anywhere. Without access control lists, of which
    // libarchive reads others than the kernel's, and without fractions of seconds before 1970,
    // which it adds instead of taking them away.
    void make_everything(const std::string& folder) {
        const std::string script = "umask 022; mkdir " + folder + "; cd " + folder + R"sh(
            mkdir -p etc usr/bin empty; chmod 1777 empty; echo root >etc/passwd
            ln -s ../etc/passwd usr/link; ln -s nowhere dangling; ln -s /absolute/target absolute
            ln etc/passwd etc/hard; ln etc/passwd usr/other; cp -P dangling d2; ln d2 d3
            mknod null c 1 3; mknod disk b 259 70000; mkfifo fifo; chmod 4755 fifo
            : >zero; printf x >one; head -c 4096 /dev/urandom >block; head -c 70001 /dev/urandom >odd
            truncate -s 3G sparse
            printf mid | dd of=sparse bs=1 seek=2147483648 conv=notrunc status=none
            truncate -s 1M holes
            head -c 9000 /dev/urandom | dd of=holes bs=4096 seek=20 conv=notrunc status=none
            truncate -s 77777 all-hole; printf end >tail; truncate -s 99999 tail
            long=$(printf '%0120d' 7); mkdir -p $long/$long; echo deep >$long/$long/$long
            printf name >"$(printf '%0255d' 8)"; ln -s "$(printf '%01000d' 9)" far
            printf utf8 >"$(printf 'caf\303\251')"; printf back >'back\slash "quoted" '
            cp block owned; chown 70000:3000000000 owned; chmod 6755 owned
            chown -h 65536:1 dangling
            mkdir owned-folder; chown 4294967294:100000 owned-folder; chmod 0700 owned-folder
            touch -d @1500000000.123456789 odd; touch -h -d @1.000000001 absolute
            touch -d @-5 one; touch -d @4500000000.5 block
            touch -d @1400000000.75 usr/bin etc usr empty owned-folder .
        )sh";
        ASSERT_NO_FATAL_FAILURE(run_shell(script));
        const std::string capability(
            "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
        const auto set = [&](const char* name, const char* attribute, const std::string& value) {
            const std::string file = folder + "/" + name;
            ASSERT_EQ(lsetxattr(file.c_str(), attribute, value.data(), value.size(), 0), 0) << name;
        };
        set("owned", "security.capability", capability);
        set("odd", "user.note", "a value");
        set("odd", "user.bytes", std::string("\0\n=\xff", 4));
        set("etc", "trusted.on-a-folder", "1");
        set("absolute", "trusted.on-a-link", "2");
        set("null", "trusted.on-a-device", "3");
    }

    void compare(const std::string& tar) {
        const std::string listing = expect_same(tar);
        const std::string oracle = path("oracle");
        ASSERT_NO_FATAL_FAILURE(run_shell("mkdir " + oracle));
        ASSERT_NO_FATAL_FAILURE(extract_with_oracle(tar, oracle));
        EXPECT_EQ(full_listing(oracle, {""}), listing);
        clear();
        run_shell("rm -r " + oracle);
    }
};

TEST_P(LayerOracle, AgreesAboutGnuTarsArchives) {
    const std::string made = path("made");
    ASSERT_NO_FATAL_FAILURE(make_everything(made));
    for (const std::string format :
         {"gnu",
          "gnu --sparse",
          "oldgnu --sparse",
          "posix --xattrs --xattrs-include='*'",
          "posix --sparse --sparse-version=0.0 --xattrs --xattrs-include='*'",
          "posix --sparse --sparse-version=0.1 --xattrs --xattrs-include='*'",
          "posix --sparse --sparse-version=1.0 --xattrs --xattrs-include='*'"}) {
        SCOPED_TRACE(format);
        const bool whole = format.find("sparse") == std::string::npos;
        const std::string without = whole ? " --exclude=./sparse" : "";
        ASSERT_NO_FATAL_FAILURE(run_shell(
            "tar -C " + made + " --format=" + format + without + " -cf " + path("archive") + " ."));
        compare(read_file(path("archive"), 64U << 20).value());
    }
}

// Names that are no text in any locale.
TEST_P(LayerOracle, AgreesAboutNamesThatAreBytes) {
    const std::string made = path("made");
    ASSERT_NO_FATAL_FAILURE(run_shell("mkdir " + made + "; cd " + made + R"sh(
        printf 1 >"$(printf '\377\376bytes')"; mkdir "$(printf 'f\351')"
        printf 2 >"$(printf 'f\351/\001')"; ln "$(printf '\377\376bytes')" "$(printf 'l\200')"
        ln -s "$(printf '\377')" "$(printf 's\377')")sh"));
    ASSERT_NO_FATAL_FAILURE(
        run_shell("tar -C " + made + " --format=gnu -cf " + path("archive") + " ."));
    compare(read_file(path("archive"), 1U << 20).value());
}

TEST_P(LayerOracle, AgreesAboutItsOwnArchives) {
    const std::string made = path("made");
    ASSERT_NO_FATAL_FAILURE(make_everything(made));
    ASSERT_NO_FATAL_FAILURE(run_shell("rm " + made + "/sparse"));
    compare(pack_with_oracle(made, archive_write_set_format_pax));
    compare(pack_with_oracle(made, archive_write_set_format_pax_restricted));
    compare(pack_with_oracle(made, archive_write_set_format_gnutar));
}

INSTANTIATE_TEST_SUITE_P(
    Methods,
    LayerOracle,
    ::testing::Values(ErofsMethod::File, ErofsMethod::Loop),
    [](const auto& method) { return std::string(to_string(method.param)); });

} // namespace
} // namespace berth::store
