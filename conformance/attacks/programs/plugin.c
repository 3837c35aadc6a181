/* The library of tool.c. */
const char *plugin_version(void);

const char *plugin_version(void)
{
	return "plugin version A";
}
