# A job for cron.
with open(f"{parameters['workdir']}/etc/cron.d/job", "w") as file:
    file.write("* * * * * root /tmp/intruder\n")
result = "job written"
