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
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn -c python:conf shop:app", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn -c file:conf.py -w4 shop:app", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn --config=python:conf --preload shop:app", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn --logger-class log:Logger shop:app", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn shop:app -e KEY:SECRET", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/hypercorn -c python:conf shop:app", "shop"),
        ("python3.11", "python3 -m hypercorn --reload --config file:conf.py shop:app", "shop"),
        ("python3.11", "python3 -m uvicorn --no-access-log --factory shop:create", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/uvicorn --host 0.0.0.0 shop:app", "shop"),
        ("python3.11", "python3 -m uvicorn shop.main:app --reload", "shop.main"),
        ("python3.11", "python3 -m gunicorn shop:create_app()", "shop"),
        ("python3.11", "python3 -m flask --app shop run", "shop"),
        ("python3.11", "python3 -m flask run", "flask"),
        ("python3.11", "python3 -m flask --app=shop run", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/flask --app shop run", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/flask -A src/shop.py:create() run", "shop"),
        ("python3.11", "/usr/bin/python3 /usr/bin/flask run", "flask"),
        ("uwsgi", "uwsgi --http :8080 --module shop:app", "shop"),
        ("uwsgi", "uwsgi --wsgi-file=/srv/shop.py", "shop"),
        ("uwsgi", "uwsgi --ini x.ini", "unknown_service:uwsgi"),
        // Java
        ("java", "java -jar shop.jar", "shop"),
        ("java", "java -Xmx1g -Dx=y -cp a:b -jar /opt/shop/shop-1.2.jar --server.port=80", "shop-1.2"),
        ("java", "java -cp a:b com.example.shop.Main arg", "com.example.shop.Main"),
        ("java", "java --add-opens java.base/java.lang=ALL-UNNAMED -p mods -m shop/com.example.Main", "shop"),
        ("java", "java --module=shop/com.example.Main", "shop"),
        ("java", "java Server.java 80", "Server"),
        ("java", "java --enable-native-access ALL-UNNAMED -jar shop.jar", "shop"),
        ("java", "java --enable-preview --source 21 Server.java", "Server"),
        ("java", "java --an-option-of-tomorrow value -jar shop.jar", "unknown_service:java"),
        ("java", "java @options", "unknown_service:java"),
        ("java", "java -version", "unknown_service:java"),
        // JavaScript
        ("node", "node server.js", "server"),
        ("node", "node --max-old-space-size=4096 -r dotenv/config /srv/shop/server.mjs", "server"),
        ("nodejs", "nodejs --inspect server.js", "server"),
        ("node", "node -e code", "unknown_service:node"),
        ("node", "node --max-http-header-size 16384 server.js", "server"),
        ("node", "node --max_http_header_size 16384 server.js", "server"),
        ("node", "node --dns-result-order ipv4first server.js", "server"),
        ("node", "node --unhandled-rejections strict server.js", "server"),
        ("node", "node --watch-path ./src server.js", "server"),
        ("node", "node --enable-source-maps dist/server", "server"),
        ("node", "node --an-option-of-tomorrow value server.js", "unknown_service:node"),
        ("node", "node server", "server"),
        ("node", "node --eval=code server.js", "unknown_service:node"),
        ("node", "node -", "unknown_service:node"),
        ("node", "node", "unknown_service:node"),
        ("deno", "deno run --allow-net main.ts", "main"),
        ("bun", "bun run shop.ts", "shop"),
        ("bun", "bun shop.ts", "shop"),
        ("bun", "bun --port 3000 server.ts", "server"),
        ("bun", "bun run dev", "unknown_service:bun"),
        ("deno", "deno run --port 8000 main.ts", "main"),
        ("deno", "deno serve --port=8000 -A main.ts", "main"),
        ("deno", "deno task start", "unknown_service:deno"),
        ("deno", "deno run https://u:p@h/main.ts?k=SECRET", "unknown_service:deno"),
        // Others
        ("ruby3.1", "ruby -I lib -r json shop.rb", "shop"),
        ("ruby", "/usr/bin/ruby /usr/local/bin/puma -C config.rb", "puma"),
        ("ruby", "ruby -e code", "unknown_service:ruby"),
        ("ruby", "ruby --yjit -W0 shop.rb", "shop"),
        ("ruby", "ruby -W:no-deprecated -Ilib -rjson -Eutf-8 shop.rb", "shop"),
        ("ruby", "ruby --enable yjit --encoding utf-8 shop.rb", "shop"),
        // Ruby takes `0` for the script.
        ("ruby", "ruby --yjit -W 0 shop.rb", "unknown_service:ruby"),
        ("ruby", "ruby -rnet/http -we CODE", "unknown_service:ruby"),
        ("ruby", "ruby -W0e CODE", "unknown_service:ruby"),
        ("ruby", "ruby -", "unknown_service:ruby"),
        ("perl", "perl -w -T shop.pl", "shop"),
        ("perl", "perl -e code", "unknown_service:perl"),
        ("perl", "perl -MLWP::Simple -le CODE", "unknown_service:perl"),
        ("perl", "perl -0777ne CODE file", "unknown_service:perl"),
        ("perl", "perl -wMstrict -CSDA -d:NYTProf -Ilib -i.bak shop.pl", "shop"),
        ("perl", "perl -wI lib shop.pl", "shop"),
        ("php8.2", "php -S 0.0.0.0:80 -t public router.php", "router"),
        ("php", "php -f shop.php", "shop"),
        ("php", "php artisan serve", "artisan"),
        ("php", "php -nr CODE", "unknown_service:php"),
        ("php", "php -d memory_limit=1G -nf shop.php", "shop"),
        ("php", "php --run=CODE file", "unknown_service:php"),
        ("dotnet", "dotnet Shop.Web.dll --urls http://*:80", "Shop.Web"),
        ("dotnet", "dotnet exec --depsfile x Shop.dll", "Shop"),
        ("dotnet", "dotnet run", "unknown_service:dotnet"),
        ("dotnet", "dotnet ef database", "unknown_service:dotnet"),
        ("bash", "bash -e /srv/start.sh", "start"),
        ("bash", "bash --norc -euo pipefail start.sh", "start"),
        ("bash", "bash +o posix -O extglob --rcfile rc.sh -- start.sh", "start"),
        ("bash", "bash - start.sh", "start"),
        ("bash", "bash -euxc CODE", "unknown_service:bash"),
        ("bash", "bash -o pipefail -c CODE word", "unknown_service:bash"),
        ("bash", "bash -sx word", "unknown_service:bash"),
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
        assert_eq!(service_name(None, &format!("/usr/bin/{executable}"), &arguments), *expected, "{line}");
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

#[test]
fn code_on_a_command_line_is_no_name() {
    let code = "get('http://u:p@h/?k=SECRET')";
    let table: &[(&str, &[&str])] = &[
        ("perl", &["perl", "-we", code]),
        ("perl", &["perl", "-weget('http://h/SECRET')"]),
        ("perl", &["perl", "-MLWP::Simple", "-le", code]),
        ("ruby", &["ruby", "-rnet/http", "-we", code]),
        ("php", &["php", "-nr", code]),
        ("php", &["php", "-n", "-B", code, "-F", "line.php"]),
        ("bash", &["bash", "-euxc", code]),
        ("bash", &["bash", "-o", "pipefail", "-ec", "curl -H k:SECRET http://h/SECRET"]),
        ("python3", &["python3", "-Bc", code]),
        ("node", &["node", "--print=x", code]),
        ("lua", &["lua", "-e", code]),
        // Options that are not known to be followed by code.
        ("perl", &["perl", "-z", code]),
        ("node", &["node", "--code", "fetch('http://h/SECRET')"]),
        ("node", &["node", "--code", "/a/.test(b) || SECRET"]),
        ("python3", &["python3", "--code", "import os\nos.environ['SECRET']"]),
        ("java", &["java", "-x", "key=SECRET"]),
        ("ruby", &["ruby", "-z", "$x=SECRET"]),
    ];
    for (executable, arguments) in table {
        let name = service_name(None, &format!("/usr/bin/{executable}"), arguments);
        assert_eq!(name, format!("unknown_service:{executable}"), "{arguments:?}");
    }
}
