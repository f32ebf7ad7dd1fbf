// SPDX-License-Identifier: Apache-2.0
// A small web service: visitors leave a line, SQLite keeps it in /data. GET / shows the page, POST /sign adds a line.
#include <sqlite3.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::size_t request_limit = 16 << 10;

std::string escape_html(std::string_view text) {
    std::string result;
    for (char c : text) {
        switch (c) {
        case '<': result += "&lt;"; break;
        case '>': result += "&gt;"; break;
        case '&': result += "&amp;"; break;
        case '"': result += "&quot;"; break;
        default: result += c;
        }
    }
    return result;
}

std::string decode_form(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+') {
            result += ' ';
        } else if (text[i] == '%' && i + 2 < text.size()) {
            result += static_cast<char>(std::strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
            i += 2;
        } else {
            result += text[i];
        }
    }
    return result;
}

class Guestbook {
  public:
    bool open(const char* path) {
        return sqlite3_open(path, &database_) == SQLITE_OK &&
               sqlite3_exec(database_, "CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY, text TEXT)", nullptr,
                            nullptr, nullptr) == SQLITE_OK;
    }

    bool sign(const std::string& text) {
        sqlite3_stmt* statement = nullptr;
        bool done = sqlite3_prepare_v2(database_, "INSERT INTO lines (text) VALUES (?)", -1, &statement, nullptr) ==
                        SQLITE_OK &&
                    sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT) ==
                        SQLITE_OK &&
                    sqlite3_step(statement) == SQLITE_DONE;
        sqlite3_finalize(statement);
        return done;
    }

    std::string page() {
        std::string html = "<!doctype html><title>Guestbook</title><h1>Guestbook</h1><form method=post action=/sign>"
                           "<input name=line autofocus> <button>Sign</button></form><ul>";
        sqlite3_stmt* statement = nullptr;
        sqlite3_prepare_v2(database_, "SELECT text FROM lines ORDER BY id DESC LIMIT 100", -1, &statement, nullptr);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
            html += "<li>" + escape_html(text ? text : "") + "</li>";
        }
        sqlite3_finalize(statement);
        return html + "</ul>\n";
    }

  private:
    sqlite3* database_ = nullptr;
};

// Reads one request whole: the head, then as many bytes as Content-Length says.
std::string read_request(int client) {
    std::string request;
    char buffer[4096];
    while (request.size() < request_limit) {
        std::size_t head = request.find("\r\n\r\n");
        if (head != std::string::npos) {
            std::size_t at = request.find("Content-Length:");
            std::size_t length =
                at < head ? std::strtoul(request.c_str() + at + sizeof("Content-Length:") - 1, nullptr, 10) : 0;
            if (request.size() >= head + 4 + length) {
                break;
            }
        }
        ssize_t got = ::read(client, buffer, sizeof buffer);
        if (got <= 0) {
            break;
        }
        request.append(buffer, static_cast<std::size_t>(got));
    }
    return request;
}

std::string answer(Guestbook& book, const std::string& request) {
    auto reply = [](const char* status, const std::string& extra, const std::string& body) {
        return std::string("HTTP/1.1 ") + status + "\r\n" + extra + "Content-Type: text/html; charset=utf-8\r\n" +
               "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    };
    if (request.starts_with("GET / ")) {
        return reply("200 OK", "", book.page());
    }
    if (request.starts_with("POST /sign ")) {
        std::size_t at = request.find("\r\n\r\nline=");
        if (at == std::string::npos || !book.sign(decode_form(std::string_view(request).substr(at + 9)))) {
            return reply("400 Bad Request", "", "send line=…\n");
        }
        return reply("303 See Other", "Location: /\r\n", "");
    }
    return reply("404 Not Found", "", "there is only / and /sign\n");
}

} // namespace

int main() {
    // The first process of a container gets no default action for signals.
    std::signal(SIGTERM, [](int) { _exit(0); });
    std::signal(SIGPIPE, SIG_IGN);
    Guestbook book;
    const char* path = std::getenv("GUESTBOOK_DATABASE");
    if (!book.open(path ? path : "/data/guestbook.db")) {
        std::fprintf(stderr, "guestbook: cannot open the database\n");
        return 1;
    }
    int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(8080);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 || ::listen(listener, 64) < 0) {
        std::perror("guestbook");
        return 1;
    }
    std::printf("guestbook listens on port 8080\n");
    std::fflush(stdout);
    while (true) {
        int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) {
            continue;
        }
        timeval patience{5, 0};
        ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        std::string reply = answer(book, read_request(client));
        [[maybe_unused]] ssize_t sent = ::write(client, reply.data(), reply.size());
        ::close(client);
    }
}
