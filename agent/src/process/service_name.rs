//! `service.name` where the program does not state it.

use super::interpreter;

/// The systemd unit, else what an interpreter runs, else `unknown_service:<executable>` as the conventions have it.
pub(super) fn service_name(unit: Option<&str>, path: &str, arguments: &[&str]) -> String {
    if let Some(unit) = unit {
        return unit_name(unit);
    }
    let executable = path.rsplit('/').next().unwrap_or(path);
    if let Some(program) = interpreter::program(executable, arguments) {
        return program;
    }
    if executable.is_empty() { "unknown_service".to_owned() } else { format!("unknown_service:{executable}") }
}

/// `shop` of `shop.service` and of `shop@1.service`. Undoes systemd's escapes (`shop\x2dweb`).
fn unit_name(unit: &str) -> String {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    let name = name.split_once('@').map_or(name, |(template, _)| template);
    let mut parts = name.split("\\x");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                result.push(char::from(code));
                result.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                result.push_str("\\x");
                result.push_str(part);
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_its_service() {
        for (unit, name) in [
            ("shop.service", "shop"),
            ("shop@blue.service", "shop"),
            ("shop\\x2dweb.service", "shop-web"),
            ("a\\xzz.service", "a\\xzz"),
            ("a\\x2.service", "a\\x2"),
        ] {
            assert_eq!(service_name(Some(unit), "/usr/bin/python3", &["python3", "app.py"]), name);
        }
    }

    #[test]
    fn the_program_that_an_interpreter_runs_names_the_service() {
        let table: &[(&str, &str, &str)] = &[
            // Python
            ("python3", "python3 app.py", "app"),
            ("python3.11", "python3 -u /srv/shop/app.py --port 80", "app"),
            ("python3.11", "python3 -W ignore -X dev app.py", "app"),
            ("python3.11", "python3 -Wignore app.py", "app"),
            ("python3.11", "python3 -m shop", "shop"),
            ("python3.11", "python3 -um shop.web --debug", "shop.web"),
            ("python3.11", "python3 -mshop", "shop"),
            ("python3.11", "python3 -m http.server 80", "http.server"),
            ("python3.11", "python3 /srv/shop/__main__.py", "shop"),
            ("python3.11", "python3 /srv/shop/", "shop"),
            ("python3.11", "python3 -c import(x)", "unknown_service:python3.11"),
            ("python3.11", "python3 -", "unknown_service:python3.11"),
            ("python3.11", "python3", "unknown_service:python3.11"),
            ("pypy3", "pypy3 app.py", "app"),
            ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn shop:app", "shop"),
            (
                "python3.11",
                "/usr/bin/python3 /usr/bin/gunicorn -b 0.0.0.0:80 -w 4 shop.wsgi:application",
                "shop.wsgi",
            ),
            ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn -b unix:/run/x.sock shop:app", "shop"),
            ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn -c conf.py", "gunicorn"),
            ("python3.11", "/usr/bin/python3 /usr/bin/uvicorn --host 0.0.0.0 shop:app", "shop"),
            ("python3.11", "python3 -m uvicorn shop.main:app --reload", "shop.main"),
            ("python3.11", "python3 -m gunicorn shop:create_app()", "shop"),
            ("python3.11", "python3 -m flask --app shop run", "shop"),
            ("python3.11", "python3 -m flask run", "flask"),
            ("uwsgi", "uwsgi --http :8080 --module shop:app", "shop"),
            ("uwsgi", "uwsgi --wsgi-file=/srv/shop.py", "shop"),
            ("uwsgi", "uwsgi --ini x.ini", "unknown_service:uwsgi"),
            // Java
            ("java", "java -jar shop.jar", "shop"),
            ("java", "java -Xmx1g -Dx=y -cp a:b -jar /opt/shop/shop-1.2.jar --server.port=80", "shop-1.2"),
            ("java", "java -cp a:b com.example.shop.Main arg", "com.example.shop.Main"),
            (
                "java",
                "java --add-opens java.base/java.lang=ALL-UNNAMED -p mods -m shop/com.example.Main",
                "shop",
            ),
            ("java", "java --module=shop/com.example.Main", "shop"),
            ("java", "java Server.java 80", "Server"),
            ("java", "java @options", "unknown_service:java"),
            ("java", "java -version", "unknown_service:java"),
            // JavaScript
            ("node", "node server.js", "server"),
            ("node", "node --max-old-space-size=4096 -r dotenv/config /srv/shop/server.mjs", "server"),
            ("nodejs", "nodejs --inspect server.js", "server"),
            ("node", "node -e code", "unknown_service:node"),
            ("node", "node", "unknown_service:node"),
            ("deno", "deno run --allow-net main.ts", "main"),
            ("bun", "bun run shop.ts", "shop"),
            ("bun", "bun shop.ts", "shop"),
            // Others
            ("ruby3.1", "ruby -I lib -r json shop.rb", "shop"),
            ("ruby", "/usr/bin/ruby /usr/local/bin/puma -C config.rb", "puma"),
            ("ruby", "ruby -e code", "unknown_service:ruby"),
            ("perl", "perl -w -T shop.pl", "shop"),
            ("perl", "perl -e code", "unknown_service:perl"),
            ("php8.2", "php -S 0.0.0.0:80 -t public router.php", "router"),
            ("php", "php -f shop.php", "shop"),
            ("php", "php artisan serve", "artisan"),
            ("dotnet", "dotnet Shop.Web.dll --urls http://*:80", "Shop.Web"),
            ("dotnet", "dotnet exec --depsfile x Shop.dll", "Shop"),
            ("dotnet", "dotnet run", "unknown_service:dotnet"),
            ("bash", "bash -e /srv/start.sh", "start"),
            ("bash", "bash /dev/fd/63", "unknown_service:bash"),
            ("dash", "sh -c code", "unknown_service:dash"),
            ("bash", "-bash", "unknown_service:bash"),
            ("lua5.4", "lua shop.lua", "shop"),
            // No interpreters
            ("nginx", "nginx: master process /usr/sbin/nginx", "unknown_service:nginx"),
            ("php-fpm8.2", "php-fpm: pool www", "unknown_service:php-fpm8.2"),
            ("curl", "curl http://x/app.py", "unknown_service:curl"),
            ("nodejs-exporter", "nodejs-exporter app.js", "unknown_service:nodejs-exporter"),
        ];
        for (executable, line, expected) in table {
            let arguments: Vec<&str> = line.split(' ').collect();
            assert_eq!(
                service_name(None, &format!("/usr/bin/{executable}"), &arguments),
                *expected,
                "{line}"
            );
        }
    }

    #[test]
    fn a_process_title_may_name_the_application() {
        let name = service_name(None, "/usr/bin/python3.11", &["gunicorn: worker [shop:app]"]);
        assert_eq!(name, "shop");
        let name = service_name(None, "/usr/bin/python3.11", &["gunicorn: worker [shop"]);
        assert_eq!(name, "unknown_service:python3.11");
    }

    #[test]
    fn nothing_known_is_an_unknown_service() {
        assert_eq!(service_name(None, "", &[]), "unknown_service");
        assert_eq!(service_name(None, "/", &[""]), "unknown_service");
    }
}
