public import Primitives

/// The auth_file: one `"name" "secret"` a line, `""` for a quote, `;` in front of comments, the rest of a
/// line ignored. A broken file is refused as a whole: half a list would lock out whoever comes behind the
/// break.
public enum Userlist {
    /// Names and their secrets, byte for byte. Of several lines for one name the last one counts.
    public static func parse(
        _ text: ByteString, file: ByteString
    ) throws(ConfigError) -> [ByteString: ByteString] {
        let (secrets, problems) = read(text, file: file)
        if let first = problems.first { throw first }
        return secrets
    }

    /// What can be understood, and every line that cannot.
    static func read(
        _ text: ByteString, file: ByteString
    ) -> (secrets: [ByteString: ByteString], problems: [ConfigError]) {
        var secrets: [ByteString: ByteString] = [:]
        var problems: [ConfigError] = []
        var cursor = ByteCursor(text)
        _ = cursor.skip(bytes: [0xEF, 0xBB, 0xBF])
        var line = 0
        while !cursor.atEnd, problems.count < Limits.errors {
            line += 1
            let place = IniFile.Place(file: file, line: line)
            let text = cursor.take { $0 != UInt8(ascii: "\n") }
            _ = cursor.next()
            do throws(ConfigError) {
                if let (name, secret) = try entry(text, place) { secrets[name] = secret }
            } catch {
                problems.append(error)
            }
        }
        return (secrets, problems)
    }

    /// The two texts of a line; `nil` for an empty line or a comment.
    private static func entry(
        _ line: ByteString, _ place: IniFile.Place
    ) throws(ConfigError) -> (ByteString, ByteString)? {
        var cursor = ByteCursor(line)
        cursor.skip { $0.isSpace }
        if cursor.atEnd || cursor.peek == UInt8(ascii: ";") { return nil }
        guard !line.bytes.contains(0) else {
            throw ConfigError(.brokenAuthFile, place, expected: "there is a zero byte in the line")
        }
        guard let name = quoted(&cursor) else {
            throw ConfigError(.brokenAuthFile, place, expected: "expected a name in double quotes")
        }
        cursor.skip { $0 != UInt8(ascii: "\"") }
        guard let secret = quoted(&cursor) else {
            throw ConfigError(
                .brokenAuthFile, place, expected: "expected a secret in double quotes behind the name")
        }
        if name.count > Limits.userNameBytes {
            throw ConfigError(.nameTooLong, place, expected: "at most \(Limits.userNameBytes) bytes")
        }
        if secret.count > Limits.secretBytes {
            throw ConfigError(.secretTooLong, place, expected: "at most \(Limits.secretBytes) bytes")
        }
        return (name, secret)
    }

    private static func quoted(_ cursor: inout ByteCursor) -> ByteString? {
        guard cursor.skip(UInt8(ascii: "\"")) else { return nil }
        var text: [UInt8] = []
        repeat {
            text += cursor.take { $0 != UInt8(ascii: "\"") }.bytes
            guard cursor.skip(UInt8(ascii: "\"")) else { return nil }
            if cursor.peek == UInt8(ascii: "\"") { text.append(UInt8(ascii: "\"")) }
        } while cursor.skip(UInt8(ascii: "\""))
        return ByteString(text)
    }
}
